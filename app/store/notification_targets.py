"""Notification targets of a project: where its people are told, of what, and of which jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from sqlalchemy import delete as delete_rows
from sqlmodel import col, func, select

from app.domain.errors import Conflict, NotFound
from app.domain.notifications import MOST_TARGETS, Kind, Rule
from app.store.database import Tx, touch
from app.store.identity import reserved_id
from app.store.schema import AbsenceRow, JobRow, JobStandingRow, NotificationTargetRow
from app.store.unreadable import by_id, newest, value_of, values_of

TOPIC = "notification-targets"


@dataclass(frozen=True)
class Target:
    """`address` is sealed. `job_ids` are those that it is for, of which `jobs` names the ones there still are.

    Without `job_ids` it is for all jobs of the project.
    """

    id: int
    project_id: int
    name: str
    kind: Kind
    on: tuple[Rule, ...]
    job_ids: tuple[int, ...]
    jobs: tuple[str, ...]
    absence_hours: int | None
    created_at: datetime
    address: str = field(repr=False)

    @property
    def is_for_nothing(self) -> bool:
        """Return whether all jobs that it was for are deleted."""
        return bool(self.job_ids) and not self.jobs

    def is_for(self, job_ids: Sequence[int]) -> bool:
        """Return whether it is told of what any of these jobs is concerned by."""
        return not self.job_ids or bool(set(self.job_ids).intersection(job_ids))


def create(
    tx: Tx,
    project_id: int,
    *,
    target_id: int,
    name: str,
    kind: Kind,
    address: str,
    on: Sequence[Rule],
    jobs: Sequence[str],
    absence_hours: int | None,
    now: datetime,
) -> Target:
    """A new target. Raises Conflict if the name is taken. With a project's first one, counting begins anew."""
    in_project = select(NotificationTargetRow).where(NotificationTargetRow.project_id == project_id)
    if tx.exec(in_project.where(NotificationTargetRow.name == name)).first() is not None:
        raise Conflict(f"There is a notification target named {name} in this project already.")
    number = tx.exec(select(func.count()).select_from(in_project.subquery())).one()
    if number >= MOST_TARGETS:
        raise Conflict(f"A project has at most {MOST_TARGETS} notification targets: delete one first.")
    if number == 0:
        forgotten = delete_rows(JobStandingRow).where(col(JobStandingRow.project_id) == project_id)
        tx.connection().execute(forgotten)  # nothing has kept them true meanwhile
    row = NotificationTargetRow(
        id=target_id,
        project_id=project_id,
        name=name,
        kind=kind,
        address=address,
        rules=list(on),
        jobs=_ids(tx, project_id, jobs),
        absence_hours=absence_hours,
        created_at=now,
    )
    tx.add(row)
    return _changed(tx, row)


def change(
    tx: Tx,
    target: Target,
    *,
    address: str,
    on: Sequence[Rule],
    jobs: Sequence[str],
    absence_hours: int | None,
) -> Target:
    row = tx.get_one(NotificationTargetRow, target.id)
    row.address, row.rules, row.absence_hours = address, list(on), absence_hours
    row.jobs = _ids(tx, target.project_id, jobs)
    if absence_hours is None:
        tx.connection().execute(delete_rows(AbsenceRow).where(col(AbsenceRow.target_id) == target.id))
    return _changed(tx, row)


def delete(tx: Tx, target: Target) -> None:
    """With everything that was, or is still to be, sent to it."""
    tx.delete(tx.get_one(NotificationTargetRow, target.id))
    touch(tx, TOPIC, "projects")


def new_id(tx: Tx) -> int:
    return reserved_id(tx, "notification_target")


def find(tx: Tx, project_id: int, name: str) -> Target | None:
    query = select(NotificationTargetRow).where(NotificationTargetRow.project_id == project_id)
    row = tx.exec(query.where(NotificationTargetRow.name == name)).first()
    return None if row is None else value_of(tx, partial(_value, tx), row)


def named(tx: Tx, project_id: int, name: str) -> Target:
    found = find(tx, project_id, name)
    if found is None:
        raise NotFound(f"There is no notification target named {name} in this project.")
    return found


def with_id(tx: Tx, target_id: int) -> Target | None:
    row = tx.get(NotificationTargetRow, target_id)
    return None if row is None else _value(tx, row)


def of_project(tx: Tx, project_id: int) -> Sequence[Target]:
    """Return all of a project's, by name."""
    query = select(NotificationTargetRow).where(NotificationTargetRow.project_id == project_id)
    return values_of(tx, partial(_value, tx), tx.exec(query.order_by(col(NotificationTargetRow.name))))


def page(tx: Tx, project_id: int, limit: int, before: int | None = None) -> Sequence[Target]:
    query = select(NotificationTargetRow).where(NotificationTargetRow.project_id == project_id)
    return newest(tx, by_id(query, col(NotificationTargetRow.id)), partial(_value, tx), limit, before)


def watching_for_absence(tx: Tx) -> Sequence[Target]:
    query = select(NotificationTargetRow).where(col(NotificationTargetRow.absence_hours).is_not(None))
    return values_of(tx, partial(_value, tx), tx.exec(query.order_by(col(NotificationTargetRow.id))))


def projects_with(tx: Tx, rule: Rule) -> Sequence[int]:
    """Return the ids of the projects with a target that is told by the rule."""
    query = select(NotificationTargetRow.project_id, NotificationTargetRow.rules)
    return sorted({project_id for project_id, rules in tx.exec(query) if rule in rules})


def _ids(tx: Tx, project_id: int, names: Sequence[str]) -> list[int]:
    query = select(JobRow.id).where(JobRow.project_id == project_id, col(JobRow.deleted_at).is_(None))
    return list(tx.exec(query.where(col(JobRow.name).in_(names)).order_by(col(JobRow.id)))) if names else []


def _changed(tx: Tx, row: NotificationTargetRow) -> Target:
    tx.flush()
    touch(tx, TOPIC, "projects")
    return _value(tx, row)


def _value(tx: Tx, row: NotificationTargetRow) -> Target:
    query = select(JobRow.name).where(col(JobRow.id).in_(row.jobs), col(JobRow.deleted_at).is_(None))
    return Target(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        kind=Kind(row.kind),
        on=tuple(Rule(each) for each in row.rules),
        job_ids=tuple(row.jobs),
        jobs=tuple(tx.exec(query.order_by(col(JobRow.name)))) if row.jobs else (),
        absence_hours=row.absence_hours,
        created_at=row.created_at,
        address=row.address,
    )
