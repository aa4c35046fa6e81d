"""Deployments of apps: rows that are moved on by guarded transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select

from app.domain.deployments import (
    Cause,
    Deployment,
    DeploymentStatus,
    Phase,
    Step,
    StepKind,
    StepStatus,
)
from app.domain.errors import NotFound
from app.store.database import Tx, touch
from app.store.schema import AppRow, DeploymentRow, DeploymentStepRow, JobRow, ProjectRow

TOPIC = "deployments"
OPEN = (DeploymentStatus.PENDING, DeploymentStatus.RUNNING)


@dataclass(frozen=True)
class NewStep:
    kind: StepKind
    job_id: int | None = None
    build_id: int | None = None
    status: StepStatus = StepStatus.WAITING


def create(
    tx: Tx,
    *,
    project_id: int,
    app_id: int,
    cause: Cause,
    by: str,
    sentence: str,
    sha: str | None,
    images: Mapping[str, Any],
    keeps_cd: bool,
    with_hooks: bool,
    steps: Sequence[NewStep],
    now: datetime,
) -> int:
    """A pending deployment; whoever makes it sees to it that no other of the app stays pending."""
    row = DeploymentRow(
        project_id=project_id,
        app_id=app_id,
        status=DeploymentStatus.PENDING,
        phase=Phase.BUILDING,
        cause=cause,
        by=by,
        sentence=sentence,
        sha=sha,
        images=dict(images),
        snapshot={},
        keeps_cd=keeps_cd,
        with_hooks=with_hooks,
        created_at=now,
    )
    tx.add(row)
    tx.flush()
    for position, step in enumerate(steps):
        tx.add(
            DeploymentStepRow(
                deployment_id=row.id,
                kind=step.kind,
                position=position,
                status=step.status,
                job_id=step.job_id,
                build_id=step.build_id,
            )
        )
    tx.flush()
    _touch(tx, row.id, app_id)
    return row.id


def pending(tx: Tx, app_id: int) -> Deployment | None:
    """The app's deployment that waits for the one in progress."""
    query = select(DeploymentRow).where(DeploymentRow.app_id == app_id)
    row = tx.exec(query.where(DeploymentRow.status == DeploymentStatus.PENDING)).first()
    return None if row is None else _value(tx, row)


def begin_next(tx: Tx, app_id: int, now: datetime) -> int | None:
    """pending → running, for the app's pending deployment, unless one is running."""
    lock_app(tx, app_id)
    of_app = select(DeploymentRow.id).where(DeploymentRow.app_id == app_id)
    if tx.exec(of_app.where(DeploymentRow.status == DeploymentStatus.RUNNING)).first() is not None:
        return None
    deployment_id = tx.exec(of_app.where(DeploymentRow.status == DeploymentStatus.PENDING)).first()
    if deployment_id is not None:
        row = tx.get_one(DeploymentRow, deployment_id)
        row.status, row.started_at = DeploymentStatus.RUNNING, now
        tx.flush()
        _touch(tx, deployment_id, app_id)
    return deployment_id


def lock_app(tx: Tx, app_id: int) -> None:
    """Until this transaction's end no other changes the app's deployments."""
    tx.exec(select(AppRow.id).where(AppRow.id == app_id).with_for_update()).one()


def enter(tx: Tx, deployment: Deployment, phase: Phase, **values: Any) -> None:
    """To another phase. The caller has locked the app and looked at the deployment since."""
    statement = update(DeploymentRow).where(col(DeploymentRow.id) == deployment.id)
    statement = statement.values(phase=phase, **values)
    tx.connection().execute(statement)
    _touch(tx, deployment.id, deployment.app_id)


def end(tx: Tx, deployment: Deployment, status: DeploymentStatus, warning: str, now: datetime) -> None:
    """It is over; steps that nobody reached are skipped."""
    for step in deployment.steps:
        if not step.status.is_over:
            sentence = f"Not reached: the deployment ended as {status} before."
            set_step(tx, step.id, StepStatus.SKIPPED, now, sentence=sentence)
    enter(tx, deployment, Phase.DONE, status=status, warning=warning, finished_at=now)


def set_step(tx: Tx, step_id: int, status: StepStatus, now: datetime, **values: Any) -> None:
    row = tx.get_one(DeploymentStepRow, step_id)
    row.status = status
    if status is StepStatus.RUNNING:
        row.started_at = row.started_at or now
    elif status.is_over:
        row.finished_at = now
    for name, value in values.items():
        setattr(row, name, value)
    tx.flush()


def request_cancel(tx: Tx, deployment: Deployment, sentence: str, now: datetime) -> None:
    row = tx.get_one(DeploymentRow, deployment.id)
    row.cancel_requested_at = row.cancel_requested_at or now
    row.warning = sentence
    _touch(tx, deployment.id, deployment.app_id)


def unfinished(tx: Tx) -> Sequence[int]:
    """Ids of running and pending deployments, oldest first."""
    query = select(DeploymentRow.id).where(col(DeploymentRow.status).in_(OPEN))
    return tx.exec(query.order_by(col(DeploymentRow.id))).all()


def unfinished_of(tx: Tx, app_id: int) -> Sequence[int]:
    query = select(DeploymentRow.id).where(DeploymentRow.app_id == app_id)
    return tx.exec(query.where(col(DeploymentRow.status).in_(OPEN))).all()


def has_build(tx: Tx, app_id: int, build_id: int, *, still_open: bool = False) -> bool:
    """Whether a deployment of the app, whatever became of it (or one that is not over), decides about the build."""
    query = (
        select(DeploymentStepRow.id)
        .join(DeploymentRow, col(DeploymentRow.id) == col(DeploymentStepRow.deployment_id))
        .where(DeploymentStepRow.build_id == build_id, DeploymentRow.app_id == app_id)
    )
    if still_open:
        query = query.where(col(DeploymentRow.status).in_(OPEN))
    return tx.exec(query.limit(1)).first() is not None


def with_id(tx: Tx, deployment_id: int) -> Deployment:
    row = tx.get(DeploymentRow, deployment_id, populate_existing=True)
    if row is None:
        raise NotFound(f"There is no deployment {deployment_id}.")
    return _value(tx, row)


def page(tx: Tx, *, app_id: int | None = None, limit: int, before: int | None = None) -> Sequence[Deployment]:
    query = select(DeploymentRow).order_by(col(DeploymentRow.id).desc()).limit(limit)
    if app_id is not None:
        query = query.where(DeploymentRow.app_id == app_id)
    if before is not None:
        query = query.where(col(DeploymentRow.id) < before)
    return [_value(tx, row) for row in tx.exec(query)]


def _touch(tx: Tx, deployment_id: int, app_id: int) -> None:
    touch(tx, TOPIC, f"deployment:{deployment_id}", f"app:{app_id}")


def _value(tx: Tx, row: DeploymentRow) -> Deployment:
    steps = tx.exec(
        select(DeploymentStepRow, JobRow.name)
        .outerjoin(JobRow, col(JobRow.id) == col(DeploymentStepRow.job_id))
        .where(DeploymentStepRow.deployment_id == row.id)
        .order_by(col(DeploymentStepRow.position))
    )
    return Deployment(
        id=row.id,
        app_id=row.app_id,
        app=tx.get_one(AppRow, row.app_id).name,
        project_id=row.project_id,
        project=tx.get_one(ProjectRow, row.project_id).name,
        status=DeploymentStatus(row.status),
        phase=Phase(row.phase),
        cause=Cause(row.cause),
        by=row.by,
        sentence=row.sentence,
        sha=row.sha,
        images=row.images,
        snapshot=row.snapshot,
        keeps_cd=row.keeps_cd,
        with_hooks=row.with_hooks,
        warning=row.warning,
        steps=tuple(_step(*found) for found in steps),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
    )


def _step(row: DeploymentStepRow, job: str | None) -> Step:
    return Step(
        id=row.id,
        kind=StepKind(row.kind),
        position=row.position,
        status=StepStatus(row.status),
        job_id=row.job_id,
        job=job,
        build_id=row.build_id,
        run_id=row.run_id,
        sentence=row.sentence,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
