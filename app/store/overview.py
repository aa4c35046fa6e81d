"""What the pages ask: bounded look-ups through indexes, so that they are as quick with a million runs as with ten.

Builds are found by their commits among the latest (`id > newest - WINDOW`), as no index leads to just those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import JSON, bindparam, literal_column, or_, type_coerce
from sqlalchemy import select as columns
from sqlmodel import col, func, select

from app.domain.builds import Build, BuildStatus
from app.domain.decisions import Decision, EventType, Verdict
from app.domain.runs import Reason, Run, RunStatus
from app.store import builds, decisions, deliveries, runs
from app.store.database import Tx
from app.store.schema import BuildRow, BuildSourceRow, DecisionRow, JobRow, ProjectRow, RunRow, metadata
from app.store.unreadable import values_of

STRIP = 24
TYPICAL_OF = 3  # runs that succeeded
WINDOW = 500  # of the newest ids, where there is no index to lead further back
Within: TypeAlias = Set[int] | None  # the ids of the projects that are looked at; None for all
Row = TypeVar("Row", Run, Build)
NO_ID_YET = 2**62  # greater than any id there will be
COUNTED = 1000  # counts stop here: "1,000 or more" is as good to a reader
# In the words of the index that holds these alone.
NOTHING_RAN: list[Any] = [
    literal_column(f"'{verdict}'")
    for verdict in (Verdict.SKIPPED, Verdict.AVAILABLE, Verdict.MISSED, Verdict.DUPLICATE)
]


@dataclass(frozen=True)
class Bar:
    """One run in the strip of a job's last runs. What can't change while id and status stay is not compared."""

    id: int
    name: str = field(compare=False)
    status: RunStatus
    reason: Reason | None = field(compare=False)
    cause: str = field(compare=False)
    exit_code: int | None = field(compare=False)
    created_at: datetime = field(compare=False)
    started_at: datetime | None
    finished_at: datetime | None
    active: int  # attempts, as the two below
    succeeded: int
    failed: int

    def lasted(self, now: datetime) -> timedelta:
        """From its start to its end, or until now; nothing if it never started."""
        if self.started_at is None:
            return timedelta(0)
        return max((self.finished_at or now) - self.started_at, timedelta(0))


BAR = (
    *("id", "name", "status", "reason", "cause", "exit_code"),
    *("created_at", "first_started_at", "finished_at", "active", "succeeded", "failed"),
)


def bar_columns() -> list[Any]:
    """Return the plain columns that a bar is made of."""
    run = metadata.tables["run"].c
    return [run[name] for name in BAR]


def bar_of(row: Sequence[Any]) -> Bar:
    id_, name, status, reason, *rest = row
    return Bar(id_, name, RunStatus(status), Reason(reason) if reason else None, *rest)


@cache
def _strip_query() -> Any:
    run = metadata.tables["run"].c
    of_job = columns(*bar_columns()).where(run.job_id == bindparam("job_id"), run.id < bindparam("before"))
    return of_job.order_by(run.id.desc()).limit(bindparam("limit"))


def strip(tx: Tx, job_id: int, limit: int = STRIP, before: int | None = None) -> list[Bar]:
    """A job's latest runs, newest first."""
    asked = {"job_id": job_id, "limit": limit, "before": NO_ID_YET if before is None else before}
    return [bar_of(row) for row in tx.connection().execute(_strip_query(), asked)]


def _only(query: Any, project: Any, within: Within) -> Any:
    return query if within is None else query.where(col(project).in_(within))


def _newest(fetch: Callable[[int | None], Sequence[Row]], limit: int, within: Within) -> Sequence[Row]:
    """The newest of what `fetch` gives of each project, each time by its index."""
    if within is None:
        return fetch(None)
    found = [row for project_id in within for row in fetch(project_id)]
    return sorted(found, key=lambda row: row.id, reverse=True)[:limit]


def typical_duration(bars: Sequence[Bar]) -> timedelta | None:
    """The median of those that succeeded; None where fewer than `TYPICAL_OF` did: one or two say little."""
    lasted = sorted(
        bar.finished_at - bar.started_at
        for bar in bars
        if bar.status is RunStatus.SUCCEEDED and bar.started_at and bar.finished_at
    )
    return lasted[len(lasted) // 2] if len(lasted) >= TYPICAL_OF else None


def open_runs(tx: Tx, status: RunStatus, limit: int, within: Within = None) -> Sequence[Run]:
    return _newest(lambda only: runs.page(tx, limit=limit, statuses=[status], project_id=only), limit, within)


def open_builds(tx: Tx, limit: int, within: Within = None) -> Sequence[Build]:
    underway = [BuildStatus.RUNNING, BuildStatus.QUEUED]
    return _newest(
        lambda only: builds.page(tx, limit=limit, statuses=underway, project_id=only), limit, within
    )


def at_work(tx: Tx) -> tuple[int, int]:
    """How many builds and how many runs are at work, each up to `COUNTED`."""
    query = select(BuildRow.id).where(BuildRow.status == BuildStatus.RUNNING).limit(COUNTED).subquery()
    builds_at_work = tx.exec(select(func.count()).select_from(query)).one()
    return builds_at_work, count_runs(tx, RunStatus.RUNNING)


def count_runs(tx: Tx, status: RunStatus, within: Within = None) -> int:
    """How many runs have an open status, up to `COUNTED`."""
    query = _only(select(RunRow.id).where(RunRow.status == status), RunRow.project_id, within)
    some = query.limit(COUNTED).subquery()
    return tx.exec(select(func.count()).select_from(some)).one()


def nothing_ran(tx: Tx, *, since: datetime, limit: int, within: Within = None) -> list[Decision]:
    """The latest decisions by which nothing ran, newest first."""
    query = (
        select(DecisionRow, ProjectRow.name, JobRow.name)
        .join(ProjectRow, col(ProjectRow.id) == col(DecisionRow.project_id))
        .outerjoin(JobRow, col(JobRow.id) == col(DecisionRow.job_id))
        .where(col(DecisionRow.verdict).in_(NOTHING_RAN), col(DecisionRow.at) >= since)
        .order_by(col(DecisionRow.at).desc(), col(DecisionRow.id).desc())
        .limit(limit)
    )
    query = _only(query, DecisionRow.project_id, within)
    return values_of(tx, decisions.decision_value, tx.exec(query))


def decisions_of_deliveries(
    tx: Tx, found: Sequence[deliveries.Delivery], within: Within = None
) -> Mapping[str, list[Decision]]:
    """The decisions that each delivery led to, by its guid, all its replays included."""
    guids = {
        (f"{each.guid}~{replay}" if replay else each.guid): each.guid
        for each in found
        for replay in range(each.replays + 1)
    }
    query = (
        select(DecisionRow, ProjectRow.name, JobRow.name)
        .join(ProjectRow, col(ProjectRow.id) == col(DecisionRow.project_id))
        .outerjoin(JobRow, col(JobRow.id) == col(DecisionRow.job_id))
        .where(DecisionRow.event_type == EventType.PUSH, col(DecisionRow.event_id).in_(list(guids)))
        .order_by(col(DecisionRow.id))
    )
    query = _only(query, DecisionRow.project_id, within)
    grouped: dict[str, list[Decision]] = {each.guid: [] for each in found}
    for decision in values_of(tx, decisions.decision_value, tx.exec(query)):
        grouped[guids[decision.event_id]].append(decision)
    return grouped


def decision_of_run(tx: Tx, run_id: int) -> Decision | None:
    """The decision that started a run; what was decided about its image or its end is another matter."""
    starting = [verdict for verdict in Verdict if verdict is not Verdict.CANCELLED]
    return next(reversed(decisions.page(tx, limit=20, run_id=run_id, verdicts=starting)), None)


def find_jobs(tx: Tx, text: str, limit: int = 20, within: Within = None) -> Sequence[tuple[str, str, str]]:
    """(project, job, display name) of jobs of which either name contains the text."""
    called = type_coerce(col(JobRow.definition), JSON)["display_name"].as_string()
    query = (
        select(ProjectRow.name, JobRow.name, called)
        .join(ProjectRow, col(ProjectRow.id) == col(JobRow.project_id))
        .where(col(JobRow.deleted_at).is_(None))
        .where(
            or_(*(each.contains(text, autoescape=True) for each in (col(JobRow.name), func.lower(called))))
        )
    )
    query = _only(query, JobRow.project_id, within)
    return list(tx.exec(query.order_by(col(JobRow.name)).limit(limit)))


def find_runs(tx: Tx, text: str, limit: int = 20, within: Within = None) -> Sequence[tuple[str, str]]:
    """(name, status) of runs whose name begins with the text, of each job the newest first."""
    query = select(RunRow.name, RunRow.status).where(RunRow.name >= text, RunRow.name < f"{text}\U0010ffff")
    query = _only(query, RunRow.project_id, within)
    return list(tx.exec(query.order_by(col(RunRow.name).desc()).limit(limit)))


def find_builds(tx: Tx, text: str, limit: int = 20, within: Within = None) -> Sequence[Build]:
    """Among the newest builds, those of a commit that begins with the text."""
    newest = tx.exec(select(func.max(BuildRow.id))).one() or 0
    query = select(BuildRow.id).where(col(BuildRow.id) > newest - WINDOW)
    query = query.where(col(BuildRow.sha).startswith(text, autoescape=True))
    query = _only(query, BuildRow.project_id, within)
    ids = tx.exec(query.order_by(col(BuildRow.id).desc()).limit(limit)).all()
    return [builds.with_id(tx, build_id) for build_id in ids]


def jobs_of_build(tx: Tx, build_id: int) -> Sequence[tuple[int, str, str]]:
    """(id, project, job) of the jobs that a build was made for."""
    query = (
        select(JobRow.id, ProjectRow.name, JobRow.name)
        .join(BuildSourceRow, col(BuildSourceRow.source_id) == col(JobRow.source_id))
        .join(ProjectRow, col(ProjectRow.id) == col(JobRow.project_id))
        .where(BuildSourceRow.build_id == build_id, col(JobRow.deleted_at).is_(None))
    )
    return tx.exec(query.order_by(col(JobRow.id))).all()
