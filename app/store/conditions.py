"""How jobs are doing, over all that there are and by index: no page counts or filters only what it shows."""

from __future__ import annotations

import enum
from collections.abc import Sequence, Set
from typing import Any

from sqlalchemy import ColumnElement, literal, or_
from sqlmodel import col, func, select

from app.domain.builds import Build, BuildStatus
from app.domain.events import BRANCH_PREFIX
from app.domain.job.records import Job
from app.domain.job.spec import JobKind
from app.domain.runs import RunStatus
from app.store import builds, jobs
from app.store.database import Tx
from app.store.schema import BuildRow, BuildSourceRow, JobRow, RunRow, SourceRow

ENDED = (BuildStatus.SUCCEEDED, BuildStatus.FAILED)  # what a cancel ended says nothing of the branch


class Show(enum.StrEnum):
    """A choice of jobs."""

    ALL = ""
    FAILING = "failing"  # the latest run, or the latest build of the branch, failed
    SCHEDULED = "scheduled"


def count_jobs(tx: Tx, show: Show, within: Set[int] | None = None) -> int:
    """How many there are: in all projects, or in those with these ids."""
    count: int = tx.exec(_shown(select(func.count(col(JobRow.id))), show, within)).one()
    return count


def page_of_jobs(
    tx: Tx, show: Show, limit: int, before: int | None, within: Set[int] | None = None
) -> Sequence[Job]:
    """Newest first: of all projects, or of those with these ids."""
    found: list[Job] = []
    while True:
        query = _shown(select(JobRow.id), show, within).order_by(col(JobRow.id).desc())
        query = query.limit(limit - len(found))
        ids = tx.exec(query if before is None else query.where(col(JobRow.id) < before)).all()
        readable = jobs.with_ids(tx, ids)
        found += [readable[job_id] for job_id in ids if job_id in readable]
        if len(readable) == len(ids):
            return found
        before = ids[-1]  # as many older ones come instead of those that can't be read


def failing_of(tx: Tx, job_ids: Sequence[int]) -> set[int]:
    """Return the ids of those jobs that are failing."""
    return set(tx.exec(_shown(select(JobRow.id), Show.FAILING).where(col(JobRow.id).in_(job_ids))))


def latest_builds_of(tx: Tx, job_ids: Sequence[int]) -> dict[int, Build]:
    """The latest build of each job's branch that ended by itself, by the job's id."""
    query = select(JobRow.id, _latest_build(BuildRow.id)).where(col(JobRow.id).in_(job_ids))
    query = query.outerjoin(SourceRow, col(SourceRow.id) == col(JobRow.source_id))
    latest = {job_id: build_id for job_id, build_id in tx.exec(query) if build_id is not None}
    found = builds.with_ids(tx, list(latest.values()))
    return {job_id: found[build_id] for job_id, build_id in latest.items() if build_id in found}


def _shown(query: Any, show: Show, within: Set[int] | None = None) -> Any:
    query = query.outerjoin(SourceRow, col(SourceRow.id) == col(JobRow.source_id))
    query = query.where(col(JobRow.deleted_at).is_(None))
    if within is not None:
        query = query.where(col(JobRow.project_id).in_(within))
    match show:
        case Show.ALL:
            return query
        case Show.FAILING:
            return query.where(_is_failing())
        case Show.SCHEDULED:
            return query.where(JobRow.kind == JobKind.CRON)


def _is_failing() -> ColumnElement[bool]:
    latest_run = (
        select(RunRow.status)
        .where(RunRow.job_id == JobRow.id)
        .order_by(col(RunRow.id).desc())
        .limit(1)
        .correlate(JobRow)
        .scalar_subquery()
    )
    return or_(latest_run == RunStatus.FAILED, _latest_build(BuildRow.status) == BuildStatus.FAILED)


def _latest_build(column: Any) -> Any:
    """Return a column of the latest build of a job's branch that ended by itself.

    Builds of commits that somebody chose, and those that only made an image again, are left out.
    """
    return (
        select(column)
        .join(BuildSourceRow, col(BuildSourceRow.build_id) == col(BuildRow.id))
        .where(BuildSourceRow.source_id == JobRow.source_id)
        .where(col(BuildRow.ref) == literal(BRANCH_PREFIX).concat(col(SourceRow.branch)))
        .where(col(BuildRow.on_branch).is_(True), col(BuildRow.status).in_(ENDED))
        .where(col(BuildRow.rebuild_of).is_(None))
        .order_by(col(BuildSourceRow.build_id).desc())
        .limit(1)
        .correlate(JobRow, SourceRow)
        .scalar_subquery()
    )
