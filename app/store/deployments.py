"""Deployments of apps: rows that are moved on by guarded transitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlmodel import col, select

from app.domain.deployments import (
    Cause,
    Deployment,
    DeploymentStatus,
    Images,
    Phase,
    Step,
    StepKind,
    StepStatus,
    images_from_json,
    images_to_json,
)
from app.domain.errors import NotFound
from app.store.database import Tx, touch
from app.store.jobs import hold_builds
from app.store.schema import AppRow, DeploymentRow, DeploymentStepRow, JobRow, ProjectRow
from app.store.transitions import move, since
from app.store.unreadable import by_id, newest, value_of

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
    images: Images,
    keeps_cd: bool,
    with_hooks: bool,
    steps: Sequence[NewStep],
    now: datetime,
) -> Deployment:
    """A pending deployment; whoever makes it sees to it that no other of the app stays pending."""
    hold_builds(tx, (image.build_id for image in images.values()))
    row = DeploymentRow(
        project_id=project_id,
        app_id=app_id,
        status=DeploymentStatus.PENDING,
        phase=Phase.BUILDING,
        cause=cause,
        by=by,
        sentence=sentence,
        sha=sha,
        images=images_to_json(images),
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
    return _changed(tx, row)


def pending(tx: Tx, app_id: int) -> Deployment | None:
    """The app's deployment that waits for the one in progress."""
    query = select(DeploymentRow).where(DeploymentRow.app_id == app_id)
    row = tx.exec(query.where(DeploymentRow.status == DeploymentStatus.PENDING)).first()
    return None if row is None else value_of(tx, partial(_value, tx), row)


def begin_next(tx: Tx, app_id: int, now: datetime) -> Deployment | None:
    """pending → running, for the app's pending deployment, unless one is running."""
    lock_app(tx, app_id)
    of_app = select(DeploymentRow.id).where(DeploymentRow.app_id == app_id)
    if tx.exec(of_app.where(DeploymentRow.status == DeploymentStatus.RUNNING)).first() is not None:
        return None
    next_id = tx.exec(of_app.where(DeploymentRow.status == DeploymentStatus.PENDING)).first()
    if next_id is None:
        return None
    is_pending = col(DeploymentRow.status) == DeploymentStatus.PENDING
    row = move(tx, DeploymentRow, next_id, is_pending, status=DeploymentStatus.RUNNING, started_at=now)
    return None if row is None else _changed(tx, row)


def lock_app(tx: Tx, app_id: int) -> None:
    """Keep others from changing the app's deployments until this transaction ends."""
    tx.exec(select(AppRow.id).where(AppRow.id == app_id).with_for_update()).one()


def enter(
    tx: Tx,
    deployment: Deployment,
    phase: Phase,
    *,
    images: Images | None = None,
    warning: str = "",
) -> Deployment | None:
    """Move a deployment to another phase, with the images and the warning that are known by then."""
    values: dict[str, object] = {} if images is None else {"images": images_to_json(images)}
    if warning:
        values["warning"] = warning
    return _move(tx, deployment, phase=phase, **values)


def keep_snapshot(tx: Tx, deployment: Deployment, snapshot: Images) -> Deployment | None:
    """Save what the app's jobs have deployed now that all images have moved."""
    return _move(tx, deployment, snapshot=images_to_json(snapshot))


def end(
    tx: Tx, deployment: Deployment, status: DeploymentStatus, warning: str, now: datetime
) -> Deployment | None:
    """It is over; steps that nobody reached are skipped."""
    ended = _move(tx, deployment, phase=Phase.DONE, status=status, warning=warning, finished_at=now)
    if ended is None:
        return None
    sentence = f"Not reached: the deployment ended as {status} before."
    steps = (
        step
        if step.status.is_over
        else set_step(tx, ended, step, StepStatus.SKIPPED, now, sentence=sentence) or step
        for step in ended.steps
    )
    return replace(ended, steps=tuple(steps))


def request_cancel(tx: Tx, deployment: Deployment, sentence: str, now: datetime) -> Deployment | None:
    """Ask for the end of a running deployment. The time is that of the first request, the sentence of the last."""
    requested_at = since(DeploymentRow.cancel_requested_at, now)
    return _move(tx, deployment, cancel_requested_at=requested_at, warning=sentence)


def _move(tx: Tx, deployment: Deployment, **values: Any) -> Deployment | None:
    """Change a deployment that is still as the caller has seen it: as it is now, or None if somebody else was first."""
    guards = (
        col(DeploymentRow.status) == deployment.status,
        col(DeploymentRow.phase) == deployment.phase,
    )
    row = move(tx, DeploymentRow, deployment.id, *guards, **values)
    return None if row is None else _changed(tx, row)


def set_step(
    tx: Tx,
    deployment: Deployment,
    step: Step,
    status: StepStatus,
    now: datetime,
    *,
    sentence: str | None = None,
    run_id: int | None = None,
) -> Step | None:
    """Change a step that still has the status the caller has seen: as it is now, or None if somebody else was first.

    Its sentence and its run stay as they are if left out.
    """
    values: dict[str, object] = {"status": status}
    moves_at_once = step.kind is StepKind.MOVE and status is StepStatus.SUCCEEDED
    if status is StepStatus.RUNNING or moves_at_once:
        values["started_at"] = since(DeploymentStepRow.started_at, now)
    if status.is_over:
        values["finished_at"] = now
    if sentence is not None:
        values["sentence"] = sentence
    if run_id is not None:
        values["run_id"] = run_id
    row = move(tx, DeploymentStepRow, step.id, col(DeploymentStepRow.status) == step.status, **values)
    _touch(tx, deployment.id, deployment.app_id)
    return None if row is None else _step(row, step.job)


def unfinished(tx: Tx) -> Sequence[int]:
    """Ids of running and pending deployments, oldest first."""
    query = select(DeploymentRow.id).where(col(DeploymentRow.status).in_(OPEN))
    return tx.exec(query.order_by(col(DeploymentRow.id))).all()


def unfinished_of(tx: Tx, app_id: int) -> Sequence[int]:
    query = select(DeploymentRow.id).where(DeploymentRow.app_id == app_id)
    return tx.exec(query.where(col(DeploymentRow.status).in_(OPEN))).all()


def has_build(tx: Tx, app_id: int, build_id: int, *, still_open: bool = False) -> bool:
    """Return whether a deployment of the app, over or not (or only one that is not), decides about the build."""
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
    return value_of(tx, partial(_value, tx), row)


def page(tx: Tx, *, app_id: int | None = None, limit: int, before: int | None = None) -> Sequence[Deployment]:
    query = select(DeploymentRow)
    if app_id is not None:
        query = query.where(DeploymentRow.app_id == app_id)
    return newest(tx, by_id(query, col(DeploymentRow.id)), partial(_value, tx), limit, before)


def _changed(tx: Tx, row: DeploymentRow) -> Deployment:
    _touch(tx, row.id, row.app_id)
    return _value(tx, row)


def _touch(tx: Tx, deployment_id: int, app_id: int) -> None:
    touch(tx, TOPIC, f"deployment:{deployment_id}", f"app:{app_id}")


def _value(tx: Tx, row: DeploymentRow) -> Deployment:
    steps = tx.exec(
        select(DeploymentStepRow, JobRow.name)
        .outerjoin(JobRow, col(JobRow.id) == col(DeploymentStepRow.job_id))
        .where(DeploymentStepRow.deployment_id == row.id)
        .order_by(col(DeploymentStepRow.position))
        .execution_options(populate_existing=True)
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
        images=images_from_json(row.images),
        snapshot=images_from_json(row.snapshot),
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
