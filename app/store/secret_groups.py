"""Secret groups: variables that several jobs of a project share.

Each job's row keeps the merged variables of its groups, so that making a run asks for nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import delete as delete_rows
from sqlmodel import col, select

from app.domain.errors import Conflict, NotFound
from app.domain.job.effective import merge
from app.domain.job.spec import RunSpec
from app.domain.job.variables import Env, SharedValue
from app.store.database import Tx, touch
from app.store.identity import reserved_id
from app.store.schema import JobRow, SecretGroupJobRow, SecretGroupRow
from app.store.schema.specs import decoded
from app.store.unreadable import by_id, newest, value_of


@dataclass(frozen=True)
class SecretGroup:
    """Secrets in `env` are sealed; `jobs` are names. A greater priority wins over a smaller."""

    id: int
    project_id: int
    name: str
    priority: int
    env: Env
    jobs: tuple[str, ...]
    created_at: datetime


def create(
    tx: Tx,
    project_id: int,
    name: str,
    priority: int,
    env: Env,
    now: datetime,
    group_id: int | None = None,
) -> SecretGroup:
    query = select(SecretGroupRow.id).where(
        SecretGroupRow.project_id == project_id, SecretGroupRow.name == name
    )
    if tx.exec(query).first() is not None:
        raise Conflict(f"There is a secret group named {name} in this project already.")
    row = SecretGroupRow(
        id=group_id or reserved_id(tx, "secret_group"),
        project_id=project_id,
        name=name,
        priority=priority,
        env=dict(env),
        created_at=now,
    )
    tx.add(row)
    tx.flush()
    touch(tx, "jobs")
    return named(tx, project_id, name)


def change(tx: Tx, group: SecretGroup, *, priority: int, env: Env) -> None:
    row = tx.get_one(SecretGroupRow, group.id)
    row.priority, row.env = priority, dict(env)
    tx.flush()
    _share(tx, _job_ids(tx, group.id))


def attach(tx: Tx, group: SecretGroup, job_names: Sequence[str]) -> None:
    """Make these the group's jobs, and no others. Raises NotFound for a name that is no job of the project."""
    before = set(_job_ids(tx, group.id))
    wanted = [_job_id(tx, group.project_id, name) for name in job_names]
    tx.connection().execute(delete_rows(SecretGroupJobRow).where(col(SecretGroupJobRow.group_id) == group.id))
    tx.add_all(SecretGroupJobRow(group_id=group.id, job_id=job_id) for job_id in dict.fromkeys(wanted))
    tx.flush()
    _share(tx, before | set(wanted))


def delete(tx: Tx, group: SecretGroup) -> None:
    attach(tx, group, [])
    tx.delete(tx.get_one(SecretGroupRow, group.id))


def named(tx: Tx, project_id: int, name: str) -> SecretGroup:
    query = select(SecretGroupRow).where(SecretGroupRow.project_id == project_id, SecretGroupRow.name == name)
    row = tx.exec(query).first()
    if row is None:
        raise NotFound(f"There is no secret group named {name} in this project.")
    return value_of(tx, partial(_value, tx), row)


def page(tx: Tx, project_id: int, limit: int, before: int | None = None) -> Sequence[SecretGroup]:
    query = select(SecretGroupRow).where(SecretGroupRow.project_id == project_id)
    return newest(tx, by_id(query, col(SecretGroupRow.id)), partial(_value, tx), limit, before)


def _share(tx: Tx, job_ids: Sequence[int] | set[int]) -> None:
    """Write the merged variables of their groups into these jobs, the greatest priority last."""
    for job_id in job_ids:
        query = (
            select(SecretGroupRow)
            .join(SecretGroupJobRow, col(SecretGroupJobRow.group_id) == col(SecretGroupRow.id))
            .where(SecretGroupJobRow.job_id == job_id)
            .order_by(col(SecretGroupRow.priority), col(SecretGroupRow.id))
        )
        shared = {
            name: SharedValue(given, group.name)
            for group in tx.exec(query)
            for name, given in value_of(tx, _env, group).items()
        }
        job = tx.get_one(JobRow, job_id)
        job.shared_env = shared
        job.effective = merge(value_of(tx, _own, job), shared_env=shared).spec
        touch(tx, "jobs", f"job:{job_id}")


def _env(group: SecretGroupRow) -> Env:
    return decoded(group.env)


def _own(job: JobRow) -> RunSpec:
    return decoded(job.definition).run


def _job_id(tx: Tx, project_id: int, name: str) -> int:
    query = select(JobRow.id).where(
        JobRow.project_id == project_id, JobRow.name == name, col(JobRow.deleted_at).is_(None)
    )
    found = tx.exec(query).first()
    if found is None:
        raise NotFound(f"There is no job named {name} in this project.")
    return found


def _job_ids(tx: Tx, group_id: int) -> Sequence[int]:
    return tx.exec(select(SecretGroupJobRow.job_id).where(SecretGroupJobRow.group_id == group_id)).all()


def _value(tx: Tx, row: SecretGroupRow) -> SecretGroup:
    query = (
        select(JobRow.name)
        .join(SecretGroupJobRow, col(SecretGroupJobRow.job_id) == col(JobRow.id))
        .where(SecretGroupJobRow.group_id == row.id)
        .order_by(col(JobRow.name))
    )
    names = tuple(tx.exec(query))
    return SecretGroup(
        row.id, row.project_id, row.name, row.priority, decoded(row.env), names, row.created_at
    )
