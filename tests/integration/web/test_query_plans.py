"""Lists and look-ups are as quick with a million rows as with ten: by index, and in the order that the index has."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import event

from app.domain.build_parts import BuildTriggerType
from app.domain.builds import BuildStatus
from app.domain.decisions import EventType, Verdict
from app.domain.errors import NotFound
from app.domain.retention import Kind
from app.domain.runs import RunStatus, TriggerType
from app.store import (
    audit,
    build_lists,
    builds,
    commit_statuses,
    conditions,
    decision_lists,
    decisions,
    deliveries,
    gauges,
    kept_logs,
    lists,
    mails,
    overview,
    quotas,
    run_lists,
    runs,
    schedules,
    users,
)
from app.store.build_lists import BuildFilter
from app.store.database import Tx
from app.store.decision_lists import DecisionFilter
from app.store.lists import Place
from app.store.run_lists import RunFilter
from app.store.strips import strips
from app.web.server_context import ServerContext
from tests.support.api import Caller
from tests.support.clock import START

LOOK_UPS: dict[str, Callable[[Tx], Any]] = {
    "newest builds": lambda tx: builds.page(tx, limit=9),
    "builds of a source": lambda tx: builds.page(tx, limit=9, source_id=1),
    "older builds of a source": lambda tx: builds.page(tx, limit=9, source_id=1, before=7),
    "newest runs": lambda tx: runs.page(tx, limit=9),
    "runs of a job": lambda tx: runs.page(tx, limit=9, job_id=1, before=7),
    "runs of a project": lambda tx: runs.page(tx, limit=9, project_id=1),
    "how all jobs are doing": conditions.standings,
    "how some projects' jobs are doing": lambda tx: conditions.standings(tx, {1}, named="report"),
    "how a project's jobs are doing": lambda tx: conditions.standings(tx, project_id=1),
    "strips of jobs": lambda tx: strips(tx, {1: 7, 2: 8}),
    "failing ones of some jobs": lambda tx: conditions.failing_of(tx, [1, 2]),
    "latest builds of jobs": lambda tx: conditions.latest_builds_of(tx, [1, 2]),
    "what ran last with success": lambda tx: runs.page(tx, limit=9, job_id=1, statuses=[RunStatus.SUCCEEDED]),
    "builds that can be deployed": lambda tx: builds.page(
        tx, limit=9, source_id=1, statuses=[BuildStatus.SUCCEEDED]
    ),
    "strip of a job": lambda tx: overview.strip(tx, 1),
    "entries about a thing": lambda tx: audit.page(tx, audit.Wanted(about="report"), 9),
    "statuses that may change": commit_statuses.open_ones,
    "a status that is due": lambda tx: commit_statuses.claim(tx, "github.com", START, START),
    "hosts with something due": lambda tx: commit_statuses.due_hosts(tx, START),
    "statuses of builds": lambda tx: commit_statuses.about(tx, builds=[1], runs=[], decisions=[]),
    "statuses of decisions": lambda tx: commit_statuses.about(tx, decisions=[1]),
    "statuses of a commit": lambda tx: commit_statuses.of_commit(tx, 1, "a" * 40),
    "last ping": lambda tx: deliveries.last_ping(tx, frozenset({"project:1"})),
    "newest deliveries": lambda tx: deliveries.page(tx, limit=9, scopes=None),
    "delivery by its guid": lambda tx: deliveries.find(tx, "guid"),
    "decisions of a job": lambda tx: decisions.page(tx, limit=9, job_id=1, before=7),
    "decisions of a project": lambda tx: decisions.page(tx, limit=9, project_id=1),
    "decisions of a job by verdict": lambda tx: decisions.page(
        tx, limit=9, job_id=1, verdicts=[Verdict.SKIPPED]
    ),
    "decisions of a job until a time": lambda tx: decisions.page(tx, limit=9, job_id=1, until=START),
    "newest decisions": lambda tx: decisions.page(tx, limit=9),
    "older decisions": lambda tx: decisions.page(tx, limit=9, before=7),
    "decisions since a time": lambda tx: decisions.page(tx, limit=9, since=START),
    "decisions of a project since a time": lambda tx: decisions.page(tx, limit=9, project_id=1, since=START),
    "decisions of a build": lambda tx: decisions.page(tx, limit=9, build_id=1),
    "what was missed": lambda tx: decisions.missed(tx, START, 9, None),
    "what was missed in a project": lambda tx: decisions.missed(tx, START, 9, {1}),
    "live runs of jobs": lambda tx: schedules.alive(tx, [1]),
    "decisions by which nothing ran": lambda tx: overview.nothing_ran(tx, since=START, limit=6),
    "what is open, for metrics": gauges.read,
    "when a mail is due": mails.due_at,
    "a mail to be sent": lambda tx: mails.claim(tx, START, START),
    "a user's mail": lambda tx: mails.of_user(tx, 1),
    "a user by what the identity provider calls them": lambda tx: users.of_identity(tx, "https://x", "1"),
    "a page of runs": lambda tx: run_lists.page(tx, RunFilter(), Place(before=7), 9),
    "a newer page of runs": lambda tx: run_lists.page(tx, RunFilter(), Place(after=7), 9),
    "runs that failed": lambda tx: run_lists.page(tx, RunFilter(status=RunStatus.FAILED), Place(7), 9),
    "runs that succeeded": lambda tx: run_lists.page(tx, RunFilter(status=RunStatus.SUCCEEDED), Place(7), 9),
    "runs of a project by trigger": lambda tx: run_lists.page(
        tx, RunFilter(project_id=1, trigger=TriggerType.FLOW), Place(7), 9
    ),
    "runs of a job in a time": lambda tx: run_lists.page(
        tx, RunFilter(job_id=1, status=RunStatus.FAILED, since=START, until=START), Place(7), 9
    ),
    "runs of a branch": lambda tx: run_lists.page(tx, RunFilter(branch="main"), Place(7), 9),
    "how many runs failed": lambda tx: run_lists.count(tx, RunFilter(status=RunStatus.FAILED)),
    "how the newest runs went": lambda tx: run_lists.newest(tx, RunFilter(within={1})),
    "a page of builds": lambda tx: build_lists.page(
        tx, BuildFilter(status=BuildStatus.FAILED, trigger=BuildTriggerType.PUSH), Place(7), 9
    ),
    "a page of a project's builds": lambda tx: build_lists.page(tx, BuildFilter(project_id=1), Place(7), 9),
    "a page of a job's builds": lambda tx: build_lists.page(
        tx, BuildFilter(source_id=1, branch="main", since=START), Place(7), 9
    ),
    "a page of decisions": lambda tx: decision_lists.page(
        tx, DecisionFilter(verdict=Verdict.MISSED), lists.NEWEST, 9
    ),
    "decisions in a time": lambda tx: decision_lists.page(
        tx, DecisionFilter(since=START, until=START), lists.NEWEST, 9
    ),
    "decisions of a project by event": lambda tx: decision_lists.page(
        tx, DecisionFilter(project_id=1, event=EventType.PUSH), lists.NEWEST, 9
    ),
    "decisions of a run": lambda tx: decisions.page(tx, limit=9, run_id=1),
}


def at_limits(tx: Tx) -> None:
    quotas.set_own(tx, 1, {"runs_at_once": 4, "cpus": 2, "memory_mb": 4096, "builds_at_once": 2, "log_mb": 1})


WRITES: dict[str, Callable[[Tx], Any]] = {
    "a run to begin": lambda tx: runs.claim(tx, "a", START),
    "a build to begin": lambda tx: builds.claim(tx, "a", START),
    "room in the queue": lambda tx: quotas.why_not_queued(tx, 1),
    "what a project uses": lambda tx: quotas.usage_of(tx, 1, kept_logs.total(tx, 1)),
    "logs that are too many": lambda tx: kept_logs.beyond_limit(tx),
    "the oldest logs": lambda tx: kept_logs.oldest(tx, 1, Kind.RUNS, 7, 9),
}


@pytest.mark.parametrize("what", WRITES)
def test_what_limits_are_held_to_is_read_of_open_rows_alone(admin: Caller, what: str) -> None:
    """However many are over: by the indexes that begin with the status."""
    job = {"name": "tool", "source": {"type": "image", "image": "registry.example.com/acme/tool:1"}}
    admin.made("/projects/acme/jobs", job)
    admin.made("/projects/acme/jobs/tool/runs")
    with admin.context.db.write() as tx:
        at_limits(tx)

    def look_up(tx: Tx) -> None:
        with tx.begin_nested() as undone:
            WRITES[what](tx)
            undone.rollback()

    for statement, plan in plans_of(admin.context, look_up, writes=True):
        of_work = [step for step in plan if re.search(r"\b(run|build)\b", step)]
        assert not [step for step in of_work if step.startswith("SCAN")], (statement, plan)
        opened = [
            step
            for step in of_work
            if any(index in step for index in ("status=?", "INTEGER PRIMARY KEY", "open", "log_bytes"))
        ]
        assert opened == of_work, (statement, plan)


def plans_of(
    context: ServerContext, look_up: Callable[[Tx], Any], *, writes: bool = False
) -> list[tuple[str, list[str]]]:
    """The statements that a look-up asks, and how the database would find what they ask for."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "UPDATE") if writes else "SELECT"):
            asked.append((statement, parameters))

    engine = context.db._engine
    event.listen(engine, "before_cursor_execute", note)
    with context.db.write() if writes else context.db.read() as tx, suppress(NotFound):
        look_up(tx)
    event.remove(engine, "before_cursor_execute", note)
    assert asked
    with engine.connect() as connection:
        return [
            (
                statement,
                [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)],
            )
            for statement, parameters in asked
        ]


@pytest.mark.parametrize("what", LOOK_UPS)
def test_a_look_up_reads_no_more_than_it_gives(context: ServerContext, what: str) -> None:
    for statement, plan in plans_of(context, LOOK_UPS[what]):
        assert not [step for step in plan if "TEMP B-TREE" in step], plan
        scans = [step for step in plan if re.match(r"SCAN (run|build|decision|delivery)\b", step)]
        assert not scans or " WHERE " not in statement, plan


def test_how_jobs_are_doing_is_read_of_no_run(context: ServerContext) -> None:
    """A row of each would be read from anywhere in the table."""
    plans = [step for _, plan in plans_of(context, conditions.standings) for step in plan if "run" in step]
    assert [step for step in plans if "COVERING INDEX ix_run_failed" in step], plans
    opened = "SEARCH run USING INDEX ix_run_status"  # the few that are running
    assert not [step for step in plans if "COVERING" not in step and not step.startswith(opened)], plans


def test_the_newest_image_of_a_branch_is_looked_for_among_its_builds(context: ServerContext) -> None:
    ((_, plan),) = plans_of(context, lambda tx: builds.latest_succeeded(tx, 1, "refs/heads/main"))
    assert plan[0].startswith("SEARCH build_source USING COVERING INDEX"), plan


@pytest.mark.parametrize("asks_git", [True, False])
def test_deliveries_that_wait_for_the_same_are_found_among_thousands_of_others(
    context: ServerContext, *, asks_git: bool
) -> None:
    ((_, plan),) = plans_of(context, lambda tx: deliveries.next_waiting(tx, START, asks_git=asks_git))
    assert "status=? AND asks_git=?" in plan[0]
    assert not [step for step in plan if "TEMP B-TREE" in step], plan
