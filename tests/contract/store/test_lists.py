"""Long lists on both databases: any walk through any filter finds what a look at every row finds, in its order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

import pytest

from app.domain.build_parts import BuildTriggerType
from app.domain.builds import BuildStatus
from app.domain.decisions import EventType, Verdict
from app.domain.job.records import Job
from app.domain.runs import RunStatus, TriggerType
from app.store import build_lists, conditions, decision_lists, jobs, lists, overview, run_lists
from app.store.build_lists import BuildFilter
from app.store.database import Database, Tx
from app.store.decision_lists import DecisionFilter
from app.store.lists import Place, Stretch
from app.store.run_lists import RunFilter
from app.store.schema import DecisionRow
from app.store.strips import mark_of, strips
from tests.support.past import Writer, ago
from tests.support.stored import add_job

ENDS = ("succeeded", "succeeded", "failed", "cancelled")
ROWS = 60


@pytest.fixture
def two(db: Database) -> tuple[Job, Job]:
    """Two jobs of two projects, with so many runs, builds and decisions by chance, an hour after one another."""
    made = add_job(db, "report"), add_job(db, "sync", "others")
    chance = Random(20260131)
    with db.write() as tx:
        writer = Writer(tx)
        for number in range(ROWS):
            job, days = chance.choice(made), (ROWS - number) / 24
            status = chance.choice([*ENDS, "running"])
            build = writer.build(job, days, chance.choice(ENDS), on_branch=True)
            trigger = chance.choice([TriggerType.MANUAL, TriggerType.SCHEDULE])
            writer.run(job, days, status, trigger_type=trigger, build_id=chance.choice([None, build]))
            verdict, event = chance.choice(list(Verdict)), chance.choice(list(EventType))
            row = {
                "verdict": verdict,
                "event_type": event,
                "event_id": f"e{number}",
                "rule": "r",
                "inputs": {},
            }
            at = ago(days // 0.2 * 0.2)  # several at once
            tx.add(DecisionRow(project_id=job.project_id, job_id=job.id, at=at, sentence="", **row))
    return made


def walked(page: Callable[[Place], tuple[Sequence[Any], Stretch]], *, back: bool) -> list[int]:
    """The ids of all pages, newest first."""
    ids: list[list[int]] = []
    place = Place(after=0) if back else lists.NEWEST
    while True:
        found, stretch = page(place)
        assert [each.id for each in found] == list(stretch.ids)
        ids.append(list(stretch.ids))
        further = stretch.newer if back else stretch.older
        if further is None:
            break
        place = Place(after=further) if back else Place(before=further)
    return [each for some in (ids[::-1] if back else ids) for each in some]


CASES: dict[str, tuple[Any, Callable[[Any], bool]]] = {
    "runs": (RunFilter(), lambda _run: True),
    "failed runs": (RunFilter(status=RunStatus.FAILED), lambda run: run.status == "failed"),
    "cancelled runs": (RunFilter(status=RunStatus.CANCELLED), lambda run: run.status == "cancelled"),
    "running runs": (RunFilter(status=RunStatus.RUNNING), lambda run: run.status == "running"),
    "succeeded runs of a project": (
        RunFilter(project_id=1, status=RunStatus.SUCCEEDED),
        lambda run: run.project_id == 1 and run.status == "succeeded",
    ),
    "scheduled runs of a job": (
        RunFilter(job_id=2, trigger=TriggerType.SCHEDULE),
        lambda run: run.job_id == 2 and run.trigger.type == "schedule",
    ),
    "runs of a branch within projects": (
        RunFilter(within={1, 2}, branch="main"),
        lambda run: run.build_id is not None,
    ),
    "runs of no project": (RunFilter(within=frozenset()), lambda _run: False),
    "runs in a time": (
        RunFilter(since=ago(2), until=ago(1)),
        lambda run: ago(2) <= run.created_at <= ago(1),
    ),
    "builds": (BuildFilter(), lambda _build: True),
    "failed builds by push": (
        BuildFilter(status=BuildStatus.FAILED, trigger=BuildTriggerType.PUSH, branch="main"),
        lambda build: build.status == "failed",
    ),
    "builds of a source in a time": (
        BuildFilter(source_id=1, since=ago(2)),
        lambda build: build.project_id == 1 and build.created_at >= ago(2),
    ),
    "builds within projects": (BuildFilter(within={2}), lambda build: build.project_id == 2),
    "decisions": (DecisionFilter(), lambda _each: True),
    "skipped": (DecisionFilter(verdict=Verdict.SKIPPED), lambda each: each.verdict == "skipped"),
    "decisions of a job": (
        DecisionFilter(job_id=1, event=EventType.PUSH),
        lambda each: each.job_id == 1 and each.event_type == "push",
    ),
    "decisions within projects in a time": (
        DecisionFilter(within={1, 2}, since=ago(2), until=ago(0.5)),
        lambda each: ago(2) <= each.at <= ago(0.5),
    ),
}
OF: dict[type, Any] = {RunFilter: run_lists, BuildFilter: build_lists, DecisionFilter: decision_lists}


def _page_of_five(page: Any, tx: Tx, wanted: Any, place: Place) -> Any:
    return page(tx, wanted, place, 5)


@pytest.mark.parametrize("looked_at", [7, 10_000])
def test_any_walk_finds_what_a_look_at_every_row_finds(
    db: Database, two: tuple[Job, Job], monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    assert [job.id for job in two] == [1, 2]
    for wanted, holds in CASES.values():
        of = OF[type(wanted)]
        with db.read() as tx:
            every, _ = of.page(tx, type(wanted)(), lists.NEWEST, 1000)
            assert len(every) == ROWS
            expected = [each.id for each in every if holds(each)]
            monkeypatch.setattr(lists, "LOOKED_AT", looked_at)
            for back in (False, True):
                page = partial(_page_of_five, of.page, tx, wanted)
                assert walked(page, back=back) == expected, (wanted, back)
            monkeypatch.undo()
            assert of.count(tx, wanted).number == len(expected)


def test_a_count_is_of_as_many_as_are_looked_at(
    db: Database, two: tuple[Job, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "LOOKED_AT", 20)
    with db.read() as tx:
        assert run_lists.count(tx, RunFilter()) == lists.Count(20, 20)
        some = run_lists.count(tx, RunFilter(trigger=TriggerType.MANUAL))
        assert some.among == 20
        assert 0 < some.number < 20
        assert run_lists.count(tx, RunFilter(job_id=two[0].id, since=ago(0.2))).among is None


def test_how_jobs_are_doing(db: Database) -> None:
    report, sync, idle = add_job(db), add_job(db, "sync", "others"), add_job(db, "idle")
    with db.write() as tx:
        writer = Writer(tx)
        for days in (3, 2, 1):
            writer.run(report, days, "failed")
            writer.run(sync, days, "succeeded", first_started_at=ago(days + 0.1))
        writer.run(report, 0.5, "succeeded")
        build, latest = writer.build(report, 0, "failed", on_branch=True), writer.run(sync, 0, "failed")
        found = {each.name: each for each in conditions.standings(tx)}
        assert (found["report"].is_failing, found["report"].failed_build_id) == (True, build)
        assert (found["sync"].is_failing, found["sync"].latest_run_id) == (True, latest)
        assert (found["idle"].is_failing, found["idle"].latest_run_id) == (False, None)
        drawn = strips(tx, {each.job_id: each.latest_run_id for each in found.values()})
        for job in (report, sync):
            assert drawn[job.id].marks == tuple(map(mark_of, overview.strip(tx, job.id)))
        assert drawn[idle.id].marks == ()
        within = conditions.standings(tx, {report.project_id}, named="REP")
        assert [each.name for each in within] == ["report"]
        assert jobs.display_names(tx, [report.id]) == {}
        assert conditions.next_fires(tx) == {}
        assert [each.status for each in run_lists.newest(tx, RunFilter(job_id=report.id))] == [
            "succeeded",
            *["failed"] * 3,
        ]
