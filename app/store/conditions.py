"""How jobs are doing, over all that there are and by index: no page counts or filters only what it shows."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import JSON, ColumnElement, case, literal, literal_column, or_, type_coerce
from sqlalchemy import select as select_columns
from sqlmodel import col, func, select

from app.domain.builds import Build, BuildStatus
from app.domain.events import BRANCH_PREFIX
from app.domain.job.spec import JobKind
from app.domain.runs import RunStatus
from app.store import builds
from app.store.database import Tx
from app.store.schema import BuildRow, BuildSourceRow, JobRow, ProjectRow, RunRow, SourceRow, metadata

FAILED: Any = literal_column(f"'{RunStatus.FAILED}'")  # in the words of the index that holds such runs alone
ENDED = (BuildStatus.SUCCEEDED, BuildStatus.FAILED)  # what a cancel ended says nothing of the branch


class Standing(NamedTuple):
    """How a job is doing, in what lists of many sort and filter by. There may be thousands, so it is a plain tuple."""

    job_id: int
    name: str
    project: str
    is_scheduled: bool
    is_failing: bool  # its latest run, or the latest build of its branch, failed
    is_running: bool
    latest_run_id: int | None
    failed_build_id: int | None  # the latest build of its branch, if that failed


def standings(
    tx: Tx, within: Set[int] | None = None, *, project_id: int | None = None, named: str = ""
) -> list[Standing]:
    """All jobs that there are, in all projects or in those with these ids; `named` is a part of their names.

    One statement, which reads no row of a run: the newest run failed if it is the newest one that failed.
    """
    query = _jobs_standing()
    if within is not None:
        query = query.where(col(JobRow.project_id).in_(within))
    if project_id is not None:
        query = query.where(JobRow.project_id == project_id)
    if named:
        called = type_coerce(col(JobRow.definition), JSON)["display_name"].as_string()
        text = {"other": named.lower(), "autoescape": True}
        query = query.where(or_(col(JobRow.name).contains(**text), func.lower(called).contains(**text)))
    running = set(tx.exec(select(RunRow.job_id).where(RunRow.status == RunStatus.RUNNING)))
    found = tx.connection().execute(query).all()
    return [
        Standing(
            job_id,
            name,
            project,
            kind == JobKind.CRON,
            (latest is not None and latest == failed) or build is not None,
            job_id in running,
            latest,
            build,
        )
        for job_id, name, project, kind, latest, failed, build in found
    ]


def next_fires(tx: Tx) -> dict[int, datetime]:
    """When each job that is scheduled is due next, by its id."""
    due = select(JobRow.id, JobRow.next_fire_at).where(col(JobRow.next_fire_at).is_not(None))
    return {job_id: at for job_id, at in tx.exec(due) if at is not None}


@cache
def _jobs_standing() -> Any:
    job, project = metadata.tables["job"].c, metadata.tables["project"].c
    newest = select_columns(func.max(RunRow.id)).where(col(RunRow.job_id) == JobRow.id)
    failed = newest.where(col(RunRow.status) == FAILED)
    return (
        select_columns(
            *(job.id, job.name, project.name, job.kind),
            newest.correlate(JobRow).scalar_subquery(),
            failed.correlate(JobRow).scalar_subquery(),
            _latest_build(case((col(BuildRow.status) == BuildStatus.FAILED, BuildRow.id))),
        )
        .join(ProjectRow, col(ProjectRow.id) == col(JobRow.project_id))
        .outerjoin(SourceRow, col(SourceRow.id) == col(JobRow.source_id))
        .where(col(JobRow.deleted_at).is_(None))
    )


def failing_of(tx: Tx, job_ids: Sequence[int]) -> set[int]:
    """Return the ids of those jobs that are failing."""
    query = select(JobRow.id).outerjoin(SourceRow, col(SourceRow.id) == col(JobRow.source_id))
    query = query.where(col(JobRow.deleted_at).is_(None), col(JobRow.id).in_(job_ids))
    return set(tx.exec(query.where(_is_failing())))


def latest_builds_of(tx: Tx, job_ids: Sequence[int]) -> dict[int, Build]:
    """The latest build of each job's branch that ended by itself, by the job's id."""
    query = select(JobRow.id, _latest_build(BuildRow.id)).where(col(JobRow.id).in_(job_ids))
    query = query.outerjoin(SourceRow, col(SourceRow.id) == col(JobRow.source_id))
    latest = {job_id: build_id for job_id, build_id in tx.exec(query) if build_id is not None}
    found = builds.with_ids(tx, list(latest.values()))
    return {job_id: found[build_id] for job_id, build_id in latest.items() if build_id in found}


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
