"""What notices are about, as far as messages tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select

from app.domain.runs import RunStatus
from app.store.database import Tx
from app.store.schema import (
    AlarmRow,
    AppJobRow,
    AppRow,
    BuildRow,
    BuildSourceRow,
    DecisionRow,
    DeploymentRow,
    JobRow,
    RunRow,
)

LOOKED_AT = 100  # runs of a job, for the one before
COUNTING = (RunStatus.SUCCEEDED, RunStatus.FAILED)


@dataclass(frozen=True)
class SubjectRun:
    id: int
    name: str
    job_id: int
    job: str
    status: RunStatus
    sentence: str
    trigger: str
    by: str | None
    attempts: int
    at: datetime
    started_at: datetime | None
    build_id: int | None


@dataclass(frozen=True)
class SubjectBuild:
    """`jobs` are those it was made for, by id."""

    id: int
    status: str
    is_again: bool
    branch: str
    sha: str | None
    sentence: str
    at: datetime
    jobs: dict[int, str]


@dataclass(frozen=True)
class SubjectDeployment:
    id: int
    status: str
    app: str
    sentence: str
    warning: str
    by: str
    at: datetime
    job_ids: Sequence[int]


@dataclass(frozen=True)
class SubjectDecision:
    id: int
    job_id: int
    job: str
    event_type: str
    sentence: str
    at: datetime
    build_id: int | None


@dataclass(frozen=True)
class Alarm:
    id: int
    name: str
    headline: str
    sentence: str
    began_at: datetime
    over_at: datetime | None


def run(tx: Tx, run_id: int) -> SubjectRun | None:
    """None if it, or its job, is gone."""
    query = select(RunRow, JobRow.name).join(JobRow, col(JobRow.id) == col(RunRow.job_id))
    query = query.where(RunRow.id == run_id, col(JobRow.deleted_at).is_(None))
    found = tx.exec(query).first()
    if found is None:
        return None
    row, job = found
    return SubjectRun(
        id=row.id,
        name=row.name,
        job_id=row.job_id,
        job=job,
        status=RunStatus(row.status),
        sentence=row.sentence,
        trigger=row.trigger_type,
        by=row.trigger_by,
        attempts=row.attempts,
        at=row.finished_at or row.updated_at,
        started_at=row.first_started_at,
        build_id=row.build_id,
    )


def before(tx: Tx, run: SubjectRun) -> tuple[RunStatus | None, datetime | None]:
    """Return how the run of the job that ended last before this one ended, and when one succeeded last.

    Of those that count, and of the latest ones alone: for a job of which no end was noticed yet.
    """
    latest = (
        select(RunRow.status, RunRow.finished_at, RunRow.id)
        .where(RunRow.job_id == run.job_id, col(RunRow.id) != run.id)
        .order_by(col(RunRow.id).desc())
        .limit(LOOKED_AT)
    )
    ended = [
        (at, run_id, RunStatus(status))
        for status, at, run_id in tx.exec(latest)
        if status in COUNTING and at is not None and (at, run_id) < (run.at, run.id)
    ]
    status = max(ended)[2] if ended else None
    return status, max((at for at, _, each in ended if each is RunStatus.SUCCEEDED), default=None)


def build(tx: Tx, build_id: int) -> SubjectBuild | None:
    row = tx.get(BuildRow, build_id)
    if row is None:
        return None
    of_jobs = (
        select(JobRow.id, JobRow.name)
        .join(BuildSourceRow, col(BuildSourceRow.source_id) == col(JobRow.source_id))
        .where(BuildSourceRow.build_id == build_id, col(JobRow.deleted_at).is_(None))
        .order_by(col(JobRow.name))
    )
    return SubjectBuild(
        id=row.id,
        status=row.status,
        is_again=row.rebuild_of is not None,
        branch=row.ref.removeprefix("refs/heads/").removeprefix("refs/tags/"),
        sha=row.sha,
        sentence=row.sentence,
        at=row.finished_at or row.created_at,
        jobs={each[0]: each[1] for each in tx.exec(of_jobs)},
    )


def deployment(tx: Tx, deployment_id: int) -> SubjectDeployment | None:
    query = select(DeploymentRow, AppRow.name).join(AppRow, col(AppRow.id) == col(DeploymentRow.app_id))
    found = tx.exec(query.where(DeploymentRow.id == deployment_id)).first()
    if found is None:
        return None
    row, app = found
    return SubjectDeployment(
        id=row.id,
        status=row.status,
        app=app,
        sentence=row.sentence,
        warning=row.warning,
        by=row.by,
        at=row.finished_at or row.created_at,
        job_ids=tx.exec(select(AppJobRow.job_id).where(AppJobRow.app_id == row.app_id)).all(),
    )


def decision(tx: Tx, decision_id: int) -> SubjectDecision | None:
    """None if it, or its job, is gone."""
    query = (
        select(DecisionRow, JobRow.name)
        .join(JobRow, col(JobRow.id) == col(DecisionRow.job_id))
        .where(DecisionRow.id == decision_id, col(JobRow.deleted_at).is_(None))
    )
    found = tx.exec(query).first()
    if found is None or found[0].job_id is None:
        return None
    row, job = found
    return SubjectDecision(row.id, found[0].job_id, job, row.event_type, row.sentence, row.at, row.build_id)


def alarm(tx: Tx, alarm_id: int) -> Alarm | None:
    row = tx.get(AlarmRow, alarm_id)
    return None if row is None else alarm_value(row)


def alarm_value(row: AlarmRow) -> Alarm:
    return Alarm(row.id, row.name, row.headline, row.sentence, row.began_at, row.over_at)
