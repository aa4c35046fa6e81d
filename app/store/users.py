"""Users, and the browsers that are logged in: as one of them, by an administrator's token, or by a link."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import col, select

from app.domain.errors import Conflict
from app.store.database import Tx
from app.store.schema import LoginRow, UserRow


@dataclass(frozen=True)
class User:
    id: int
    name: str
    role: str
    password_hash: str = field(repr=False)


@dataclass(frozen=True)
class Login:
    """A browser's session. `opened_with` is the hash of the token that it depends on, if it does."""

    user: User
    opened_with: str | None = field(repr=False)


def add(tx: Tx, name: str, password_hash: str, role: str, now: datetime) -> User:
    if tx.exec(select(UserRow).where(UserRow.name == name)).first():
        raise Conflict(f"There is a user named {name} already.")
    row = UserRow(name=name, password_hash=password_hash, role=role, created_at=now)
    tx.add(row)
    tx.flush()
    if role == "admin":
        _void_links(tx)
    return User(row.id, row.name, row.role, row.password_hash)


def named(tx: Tx, name: str) -> User | None:
    row = tx.exec(select(UserRow).where(UserRow.name == name)).first()
    return None if row is None else User(row.id, row.name, row.role, row.password_hash)


def has_admin(tx: Tx) -> bool:
    return tx.exec(select(UserRow.id).where(UserRow.role == "admin").limit(1)).first() is not None


def add_login(
    tx: Tx,
    hash_: str,
    now: datetime,
    lasts: timedelta,
    *,
    user_id: int | None = None,
    opened_with: str | None = None,
) -> None:
    """A session. `user_id` None stands for the administrator by token or link."""
    tx.connection().execute(delete(LoginRow).where(col(LoginRow.expires_at) <= now))
    tx.add(
        LoginRow(hash=hash_, user_id=user_id, opened_with=opened_with, created_at=now, expires_at=now + lasts)
    )


def add_login_link(tx: Tx, hash_: str, now: datetime, lasts: timedelta) -> None:
    """A link that logs an administrator in, a single time. There is one at a time: those before are void."""
    _void_links(tx)
    tx.add(LoginRow(hash=hash_, once=True, created_at=now, expires_at=now + lasts))


def _void_links(tx: Tx) -> None:
    tx.connection().execute(delete(LoginRow).where(col(LoginRow.once)))


def login(tx: Tx, hash_: str, now: datetime) -> Login | None:
    """Who is logged in with this; the administrator by token or link has id 0."""
    row = tx.get(LoginRow, hash_)
    if row is None or row.once or row.expires_at <= now:
        return None
    if row.user_id is None:
        return Login(User(0, "admin", "admin", ""), row.opened_with)
    user = tx.get_one(UserRow, row.user_id)
    return Login(User(user.id, user.name, user.role, user.password_hash), None)


def spend_login_link(tx: Tx, hash_: str, now: datetime) -> bool:
    """True the one time that a valid link is used."""
    is_valid = (
        col(LoginRow.hash) == hash_,
        col(LoginRow.once),
        col(LoginRow.expires_at) > now,
    )
    return tx.connection().execute(delete(LoginRow).where(*is_valid)).rowcount == 1


def log_out(tx: Tx, hash_: str) -> None:
    tx.connection().execute(delete(LoginRow).where(col(LoginRow.hash) == hash_))
