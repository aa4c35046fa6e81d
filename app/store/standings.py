"""How the last run of a job ended that counts, and who waits for a success of it: what notices are judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import col, select

from app.domain.job.spec import JobKind
from app.domain.runs import RunStatus
from app.store.database import Tx
from app.store.schema import AbsenceRow, JobRow, JobStandingRow, RunRow

LOOKED_AT = 200  # runs of a job, for its last success


@dataclass(frozen=True)
class Watched:
    """A job that a target watches for success since `counted_from`; `told_at` is set while it is told to have none."""

    target_id: int
    job_id: int
    counted_from: datetime
    told_at: datetime | None


def of_job(tx: Tx, job_id: int) -> tuple[RunStatus, datetime | None] | None:
    """Return how it stands, and when it succeeded last; None where no end of it was noticed yet."""
    row = tx.get(JobStandingRow, job_id)
    return None if row is None else (RunStatus(row.status), row.succeeded_at)


def save(
    tx: Tx, project_id: int, job_id: int, status: RunStatus | None, succeeded_at: datetime | None
) -> None:
    if status is None:
        return
    row = tx.get(JobStandingRow, job_id) or JobStandingRow(job_id=job_id, project_id=project_id, status="")
    row.status, row.succeeded_at = status, succeeded_at
    tx.add(row)
    tx.flush()


def last_success(tx: Tx, job_id: int) -> datetime | None:
    """Return when a run of the job succeeded last, as far as its latest ones tell."""
    latest = select(RunRow.status, RunRow.finished_at, RunRow.id).where(RunRow.job_id == job_id)
    found = tx.exec(latest.order_by(col(RunRow.id).desc()).limit(LOOKED_AT))
    ended = [at for status, at, _ in found if status == RunStatus.SUCCEEDED and at is not None]
    return max(ended, default=None)


def watched_jobs(tx: Tx, project_id: int, job_ids: Sequence[int]) -> Mapping[int, str]:
    """Return the names of the jobs that a target watches for success.

    Those with these ids or, without any, those that a schedule starts; none that is paused or deleted.
    """
    query = select(JobRow.id, JobRow.name).where(
        JobRow.project_id == project_id, col(JobRow.deleted_at).is_(None), col(JobRow.paused).is_(False)
    )
    if job_ids:
        query = query.where(col(JobRow.id).in_(job_ids))
    else:
        query = query.where(JobRow.kind == JobKind.CRON, col(JobRow.next_fire_at).is_not(None))
    return {row[0]: row[1] for row in tx.exec(query)}


def watched_by(tx: Tx, target_id: int) -> Mapping[int, Watched]:
    query = select(AbsenceRow).where(AbsenceRow.target_id == target_id)
    return {row.job_id: _value(row) for row in tx.exec(query)}


def watch(tx: Tx, target_id: int, job_id: int, since: datetime) -> None:
    tx.add(AbsenceRow(target_id=target_id, job_id=job_id, counted_from=since))
    tx.flush()


def unwatch(tx: Tx, target_id: int, job_ids: Sequence[int]) -> None:
    gone = delete(AbsenceRow).where(col(AbsenceRow.target_id) == target_id)
    tx.connection().execute(gone.where(col(AbsenceRow.job_id).in_(job_ids)))


def tell_absence(tx: Tx, watched: Watched, now: datetime) -> bool:
    """Save that the target is told now; False if it is already."""
    return _set_told(tx, watched.target_id, watched.job_id, None, now)


def end_absence(tx: Tx, job_id: int) -> Sequence[int]:
    """The job has succeeded: return the ids of the targets that were told it had not for long, and start anew."""
    query = select(AbsenceRow).where(AbsenceRow.job_id == job_id, col(AbsenceRow.told_at).is_not(None))
    told = [_value(row) for row in tx.exec(query)]
    return [each.target_id for each in told if _set_told(tx, each.target_id, job_id, each.told_at, None)]


def _set_told(tx: Tx, target_id: int, job_id: int, before: datetime | None, at: datetime | None) -> bool:
    statement = update(AbsenceRow).where(
        col(AbsenceRow.target_id) == target_id,
        col(AbsenceRow.job_id) == job_id,
        col(AbsenceRow.told_at).is_(None) if before is None else col(AbsenceRow.told_at) == before,
    )
    return tx.connection().execute(statement.values(told_at=at)).rowcount == 1


def _value(row: AbsenceRow) -> Watched:
    return Watched(row.target_id, row.job_id, row.counted_from, row.told_at)
