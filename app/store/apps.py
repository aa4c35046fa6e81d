"""Apps: which jobs deploy together, in which order, and which of them are hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import delete as delete_rows
from sqlmodel import col, select

from app.domain.errors import Conflict, NotFound
from app.domain.job.spec import JobSpec
from app.store.database import Tx, touch
from app.store.schema import AppJobRow, AppRow, JobRow, ProjectRow
from app.store.schema.specs import Undecodable
from app.store.unreadable import by_id, newest


@dataclass(frozen=True)
class Member:
    """A job of an app. `hook` is when it runs in a deployment: pre-deploy, post-deploy, failed-deploy, or None."""

    job_id: int
    job: str
    hook: str | None


@dataclass(frozen=True)
class App:
    """`held_by` is the rollback's deployment that holds continuous delivery, if one does."""

    id: int
    project_id: int
    project: str
    name: str
    members: tuple[Member, ...]
    held_by: int | None
    created_at: datetime


def create(tx: Tx, project_id: int, name: str, now: datetime) -> int:
    taken = select(AppRow.id).where(AppRow.project_id == project_id, AppRow.name == name)
    if tx.exec(taken).first() is not None:
        raise Conflict(f"There is an app named {name} in this project already.")
    row = AppRow(project_id=project_id, name=name, created_at=now)
    tx.add(row)
    tx.flush()
    touch(tx, "apps")
    return row.id


def set_members(tx: Tx, app_id: int, hooks: Mapping[int, str | None]) -> None:
    """Make these jobs the app's: id → the hook it is where its own definition names none, in declared order.

    Raises Conflict for a job of another app.
    """
    tx.connection().execute(delete_rows(AppJobRow).where(col(AppJobRow.app_id) == app_id))
    tx.expire_all()
    for position, (job_id, hook) in enumerate(hooks.items()):
        other = tx.get(AppJobRow, job_id)
        if other is not None:
            name = tx.get_one(AppRow, other.app_id).name
            raise Conflict(f"Job {tx.get_one(JobRow, job_id).name} is in app {name} already.")
        tx.add(AppJobRow(app_id=app_id, job_id=job_id, position=position, hook=hook))
    tx.flush()
    touch(tx, "apps")


def delete(tx: Tx, app_id: int) -> None:
    tx.delete(tx.get_one(AppRow, app_id))
    touch(tx, "apps")


def hold(tx: Tx, app_id: int, deployment_id: int | None) -> None:
    """Hold continuous delivery for a rollback, or release it (None)."""
    tx.get_one(AppRow, app_id).held_by = deployment_id
    touch(tx, "apps", f"app:{app_id}")


def named(tx: Tx, project: str, name: str) -> App:
    query = select(AppRow).join(ProjectRow, col(ProjectRow.id) == col(AppRow.project_id))
    row = tx.exec(query.where(ProjectRow.name == project, AppRow.name == name)).first()
    if row is None:
        raise NotFound(f"There is no app named {name} in project {project}.")
    return _value(tx, row)


def with_id(tx: Tx, app_id: int) -> App:
    row = tx.get(AppRow, app_id)
    if row is None:
        raise NotFound(f"There is no app {app_id}.")
    return _value(tx, row)


def of_job(tx: Tx, job_id: int) -> App | None:
    row = tx.get(AppJobRow, job_id)
    return None if row is None else with_id(tx, row.app_id)


@dataclass(frozen=True)
class Part:
    """A job's part in its app; `held_by` is the app's."""

    app: str
    hook: str | None
    held_by: int | None


def parts_of(tx: Tx, job_ids: Sequence[int]) -> dict[int, Part]:
    """Return the part of each job that is in an app, by the job's id."""
    query = (
        select(JobRow.id, col(JobRow.definition), AppJobRow.hook, AppRow)
        .join(AppJobRow, col(AppJobRow.job_id) == col(JobRow.id))
        .join(AppRow, col(AppRow.id) == col(AppJobRow.app_id))
        .where(col(JobRow.id).in_(job_ids))
    )
    return {
        job_id: Part(app.name, _hook(spec, hook), app.held_by) for job_id, spec, hook, app in tx.exec(query)
    }


def names_of(tx: Tx, job_ids: Sequence[int]) -> dict[int, str]:
    """The app's name for each job that is in one."""
    query = select(AppJobRow.job_id, AppRow.name).join(AppRow, col(AppRow.id) == col(AppJobRow.app_id))
    return dict(tx.exec(query.where(col(AppJobRow.job_id).in_(job_ids))).all())


def page(tx: Tx, *, project_id: int | None, limit: int, before: int | None = None) -> Sequence[App]:
    query = select(AppRow)
    if project_id is not None:
        query = query.where(AppRow.project_id == project_id)
    return newest(tx, by_id(query, col(AppRow.id)), partial(_value, tx), limit, before)


def _hook(spec: JobSpec | Undecodable, of_app: str | None) -> str | None:
    """Return when a job runs in deployments: as its own definition says, or else the app's, which is all that can be
    read.
    """
    return of_app if isinstance(spec, Undecodable) else spec.deploy_trigger or of_app


def _value(tx: Tx, row: AppRow) -> App:
    query = (
        select(JobRow.id, JobRow.name, col(JobRow.definition), AppJobRow.hook)
        .join(JobRow, col(JobRow.id) == col(AppJobRow.job_id))
        .where(AppJobRow.app_id == row.id, col(JobRow.deleted_at).is_(None))
        .order_by(col(AppJobRow.position))
    )
    members = tuple(Member(job_id, name, _hook(spec, hook)) for job_id, name, spec, hook in tx.exec(query))
    project = tx.get_one(ProjectRow, row.project_id).name
    return App(row.id, row.project_id, project, row.name, members, row.held_by, row.created_at)
