"""Rows of runs, attempts and containers as the domain's values."""

from __future__ import annotations

from typing import Any

from sqlmodel import col, select

from app.domain.runs import Attempt, Container, Outcome, Reason, Run, RunStatus, Trigger, TriggerType
from app.store.schema import AttemptRow, ContainerRow, JobRow, ProjectRow, RunRow
from app.store.schema.specs import decoded


def runs_query() -> Any:
    return (
        select(RunRow, ProjectRow.name, JobRow.name)
        .join(ProjectRow, col(ProjectRow.id) == col(RunRow.project_id))
        .join(JobRow, col(JobRow.id) == col(RunRow.job_id))
    )


def run_value(row: RunRow, project: str, job: str) -> Run:
    trigger = Trigger(TriggerType(row.trigger_type), row.trigger_by, row.scheduled_for, row.cause)
    return Run(
        id=row.id,
        name=row.name,
        project_id=row.project_id,
        project=project,
        job_id=row.job_id,
        job=job,
        status=RunStatus(row.status),
        trigger=trigger,
        spec=decoded(row.effective),
        created_at=row.created_at,
        updated_at=row.updated_at,
        reason=Reason(row.reason) if row.reason else None,
        sentence=row.sentence,
        overridden=tuple(row.overridden),
        image=row.image,
        digest=row.digest,
        reference=row.reference,
        build_id=row.build_id,
        sha=row.sha,
        attempts=row.attempts,
        active=row.active,
        succeeded=row.succeeded,
        failed=row.failed,
        interruptions=row.interruptions,
        crashes=row.deaths,
        tries=row.tries,
        unanswered_since=row.unanswered_since,
        awaited_build_id=row.awaited_build_id,
        exit_code=row.exit_code,
        available_at=row.available_at,
        first_started_at=row.first_started_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
        cancel_forced_at=row.cancel_forced_at,
        cancel_reason=Reason(row.cancel_reason) if row.cancel_reason else None,
        cancel_sentence=row.cancel_sentence,
        token=row.token,
    )


def attempt_value(row: AttemptRow) -> Attempt:
    return Attempt(
        id=row.id,
        run_id=row.run_id,
        number=row.number,
        status=RunStatus(row.status),
        token=row.token,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        reason=Reason(row.reason) if row.reason else None,
        exit_code=row.exit_code,
        sentence=row.sentence,
    )


def container_value(row: ContainerRow) -> Container:
    return Container(
        id=row.id,
        attempt_id=row.attempt_id,
        instance=row.instance,
        key=row.key,
        handle=row.handle,
        started_at=row.started_at,
        finished_at=row.finished_at,
        exit_code=row.exit_code,
        reason=Reason(row.reason) if row.reason else None,
        sentence=row.sentence,
    )


def outcome_columns(outcome: Outcome) -> dict[str, object]:
    """Return what an attempt's and a container's row say of how it ended."""
    return {"reason": outcome.reason, "exit_code": outcome.exit_code, "sentence": outcome.sentence}
