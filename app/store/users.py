"""Users and what they were granted. One administrator of all who can log in always stays."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, func, or_, select

from app.domain.errors import Conflict, NotFound
from app.domain.principals import Grant, Role
from app.store import facts
from app.store.database import Tx, touch
from app.store.schema import GrantRow, ProjectRow, UserRow

TOPIC = "users"
TURN = "installation"  # a row that every installation has, to be locked


@dataclass(frozen=True)
class UserGrant:
    """A role in a project or, with `project_id` None, in all."""

    role: Role
    project_id: int | None = None
    project: str | None = None


@dataclass(frozen=True)
class User:
    """Somebody who may log in, unless they are disabled or have no password yet."""

    id: int
    name: str
    email: str | None
    created_at: datetime
    disabled_at: datetime | None
    grants: tuple[UserGrant, ...]
    password_hash: str = field(default="", repr=False)
    subject: str | None = None  # what the identity provider calls them

    @property
    def status(self) -> str:
        """disabled | invited | active"""
        if self.disabled_at is not None:
            return "disabled"
        return "active" if self.password_hash or self.subject else "invited"

    @property
    def rights(self) -> tuple[Grant, ...]:
        return tuple(Grant.of_role(each.role, each.project_id) for each in self.grants)


def take_turn(tx: Tx) -> None:
    """Keep others who make users, or change who they are or their roles, from going on until this transaction ends.

    What is found after this stays so: no two users get one name, address or identity, and no two make one.
    """
    facts.hold(tx, TURN)


def add(
    tx: Tx,
    name: str,
    password_hash: str,
    role: str | None,
    now: datetime,
    *,
    project_id: int | None = None,
    email: str | None = None,
) -> User:
    """Somebody with a role in a project, in all (`project_id` None), or (`role` None) with none yet."""
    _require_free(tx, name, email, None)
    row = UserRow(name=name, email=email, password_hash=password_hash, created_at=now)
    tx.add(row)
    tx.flush()
    if role is not None:
        tx.add(GrantRow(user_id=row.id, project_id=project_id, role=role))
        tx.flush()
    touch(tx, TOPIC)
    return _value(tx, row)


def named(tx: Tx, name: str) -> User | None:
    """By the name or, where none has that, the e-mail address."""
    row = tx.exec(select(UserRow).where(UserRow.name == name)).first()
    if row is None and name:
        row = tx.exec(select(UserRow).where(UserRow.email == name.lower())).first()
    return None if row is None else _value(tx, row)


def of_identity(tx: Tx, issuer: str, subject: str) -> User | None:
    """Whom the identity provider at `issuer` calls `subject`."""
    query = select(UserRow).where(UserRow.issuer == issuer, UserRow.subject == subject)
    row = tx.exec(query).first()
    return None if row is None else _value(tx, row)


def with_id(tx: Tx, user_id: int) -> User:
    return _value(tx, _row(tx, user_id))


def page(tx: Tx, limit: int, before: int | None = None) -> Sequence[User]:
    query = select(UserRow).order_by(col(UserRow.id).desc()).limit(limit)
    if before is not None:
        query = query.where(col(UserRow.id) < before)
    return [_value(tx, row) for row in tx.exec(query)]


def has_admin(tx: Tx) -> bool:
    """Whether somebody can log in who administers all."""
    return _administrators(tx) > 0


def change(tx: Tx, user_id: int, *, name: str, email: str | None) -> None:
    _require_free(tx, name, email, user_id)
    row = _row(tx, user_id)
    row.name, row.email = name, email
    touch(tx, TOPIC)


def set_password(tx: Tx, user_id: int, password_hash: str) -> None:
    _row(tx, user_id).password_hash = password_hash
    touch(tx, TOPIC)


def renew_hash(tx: Tx, user_id: int, before: str, password_hash: str) -> None:
    """Replace a hash by another of the same password, unless the password was changed meanwhile."""
    is_same = (col(UserRow.id) == user_id, col(UserRow.password_hash) == before)
    tx.execute(update(UserRow).where(*is_same).values(password_hash=password_hash))


def set_identity(tx: Tx, user_id: int, issuer: str | None, subject: str | None) -> None:
    """Know a user by what an identity provider calls them, or (None) no more. Raises Conflict."""
    take_turn(tx)
    known = None if issuer is None or subject is None else of_identity(tx, issuer, subject)
    if known is not None and known.id != user_id:
        raise Conflict(f"The identity provider's {subject} is the user {known.name} already.")
    with _keeping_an_administrator(tx, user_id):
        row = _row(tx, user_id)
        row.issuer, row.subject = issuer, subject


def replace_grants(tx: Tx, user_id: int, roles: Mapping[int | None, Role]) -> None:
    """Give these roles by project, None for all, and take all others: also the last administrator's."""
    take_turn(tx)
    rows = {row.project_id: row for row in tx.exec(select(GrantRow).where(GrantRow.user_id == user_id))}
    for project_id in rows.keys() - roles.keys():
        tx.delete(rows[project_id])
    for project_id, role in roles.items():
        row = rows.get(project_id) or GrantRow(user_id=user_id, project_id=project_id, role=role)
        row.role = role
        tx.add(row)
    tx.flush()
    touch(tx, TOPIC)


def set_grant(tx: Tx, user_id: int, role: Role, project_id: int | None) -> None:
    """Give a role in a project or in all, in place of the one they have there."""
    with _keeping_an_administrator(tx, user_id):
        row = _grant(tx, user_id, project_id) or GrantRow(user_id=user_id, project_id=project_id, role=role)
        row.role = role
        tx.add(row)


def revoke_grant(tx: Tx, user_id: int, project_id: int | None) -> None:
    """Take the role in a project, or (None) in all. Raises NotFound, Conflict."""
    with _keeping_an_administrator(tx, user_id):
        row = _grant(tx, user_id, project_id)
        if row is None:
            where = "in all projects" if project_id is None else "in this project"
            raise NotFound(f"{_row(tx, user_id).name} has no role {where}.")
        tx.delete(row)


def set_disabled(tx: Tx, user_id: int, at: datetime | None) -> None:
    """Disable somebody, or (`at` None) enable them again."""
    with _keeping_an_administrator(tx, user_id):
        _row(tx, user_id).disabled_at = at


def remove(tx: Tx, user_id: int) -> None:
    """With sessions, links and grants."""
    with _keeping_an_administrator(tx, user_id):
        tx.delete(_row(tx, user_id))


@contextmanager
def _keeping_an_administrator(tx: Tx, user_id: int) -> Iterator[None]:
    """Raises Conflict for a change of this user that leaves nobody to administer all who can log in.

    One such change after another: of two administrators, each could remove the other at the same time.
    """
    take_turn(tx)
    name, before = _row(tx, user_id).name, _administrators(tx)
    yield
    tx.flush()
    if before and not _administrators(tx):
        raise Conflict(f"{name} is the last administrator who can log in: make another one first.")
    touch(tx, TOPIC)


def _administrators(tx: Tx) -> int:
    query = (
        select(func.count(col(UserRow.id)))
        .join(GrantRow, col(GrantRow.user_id) == col(UserRow.id))
        .where(GrantRow.role == Role.ADMIN, col(GrantRow.project_id).is_(None))
        .where(col(UserRow.disabled_at).is_(None))
        .where(or_(UserRow.password_hash != "", col(UserRow.subject).is_not(None)))
    )
    return tx.exec(query).one()


def name_key(name: str) -> str:
    """What names that look the same have in common: two users who differ in case alone would be taken for one."""
    return unicodedata.normalize("NFKC", name).casefold()


def _require_free(tx: Tx, name: str, email: str | None, user_id: int | None) -> None:
    """Raises Conflict for a name or an address by which somebody else logs in, or is known."""
    take_turn(tx)
    others = select(UserRow.name, UserRow.email)
    for called, address in tx.exec(others if user_id is None else others.where(UserRow.id != user_id)):
        taken = {name_key(called), address}
        if name_key(name) in taken:
            raise Conflict(f"There is a user named {name} already.")
        if email is not None and email in taken:
            raise Conflict(f"There is a user with the address {email} already.")


def _row(tx: Tx, user_id: int) -> UserRow:
    row = tx.get(UserRow, user_id)
    if row is None:
        raise NotFound(f"There is no user {user_id}.")
    return row


def _grant(tx: Tx, user_id: int, project_id: int | None) -> GrantRow | None:
    query = select(GrantRow).where(GrantRow.user_id == user_id)
    where = col(GrantRow.project_id)
    return tx.exec(query.where(where.is_(None) if project_id is None else where == project_id)).first()


def _value(tx: Tx, row: UserRow) -> User:
    found = tx.exec(
        select(GrantRow.role, GrantRow.project_id, ProjectRow.name)
        .outerjoin(ProjectRow, col(ProjectRow.id) == col(GrantRow.project_id))
        .where(GrantRow.user_id == row.id)
        .order_by(col(GrantRow.id))
    )
    grants = tuple(UserGrant(Role(role), project_id, project) for role, project_id, project in found)
    return User(
        row.id, row.name, row.email, row.created_at, row.disabled_at, grants, row.password_hash, row.subject
    )
