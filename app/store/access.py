"""Who may come in: users, browsers that are logged in, API tokens, and facts about this installation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import col, select

from app.domain.errors import Conflict, NotFound
from app.store.database import Tx
from app.store.schema import LoginRow, SettingRow, TokenRow, UserRow

SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Token:
    """An API token without its secret. `project_id` None means all projects."""

    id: int
    name: str
    role: str
    project_id: int | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


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


def add_token(
    tx: Tx,
    name: str,
    hash_: str,
    role: str,
    now: datetime,
    *,
    project_id: int | None = None,
    expires_at: datetime | None = None,
) -> Token:
    row = TokenRow(
        name=name, hash=hash_, role=role, project_id=project_id, created_at=now, expires_at=expires_at
    )
    tx.add(row)
    tx.flush()
    return _token(row)


def token_with_hash(tx: Tx, hash_: str, now: datetime) -> Token | None:
    """A token that is not expired."""
    row = tx.exec(select(TokenRow).where(TokenRow.hash == hash_)).first()
    if row is None or (row.expires_at is not None and row.expires_at <= now):
        return None
    return _token(row)


def token_was_used(tx: Tx, token_id: int, now: datetime) -> None:
    tx.get_one(TokenRow, token_id).last_used_at = now


def tokens(tx: Tx, limit: int, before: int | None = None) -> Sequence[Token]:
    query = select(TokenRow).order_by(col(TokenRow.id).desc()).limit(limit)
    if before is not None:
        query = query.where(col(TokenRow.id) < before)
    return [_token(row) for row in tx.exec(query)]


def token_with_id(tx: Tx, token_id: int) -> Token:
    row = tx.get(TokenRow, token_id)
    if row is None:
        raise NotFound(f"There is no token {token_id}.")
    return _token(row)


def revoke_token(tx: Tx, token_id: int) -> None:
    tx.delete(tx.get_one(TokenRow, token_id))


def add_user(tx: Tx, name: str, password_hash: str, role: str, now: datetime) -> User:
    if tx.exec(select(UserRow).where(UserRow.name == name)).first():
        raise Conflict(f"There is a user named {name} already.")
    row = UserRow(name=name, password_hash=password_hash, role=role, created_at=now)
    tx.add(row)
    tx.flush()
    if role == "admin":
        _void_links(tx)
    return User(row.id, row.name, row.role, row.password_hash)


def user_named(tx: Tx, name: str) -> User | None:
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


def setting(tx: Tx, name: str) -> str | None:
    row = tx.get(SettingRow, name)
    return None if row is None else row.value


def set_setting(tx: Tx, name: str, value: str) -> None:
    row = tx.get(SettingRow, name) or SettingRow(name=name)
    row.value = value
    tx.add(row)


def _token(row: TokenRow) -> Token:
    return Token(row.id, row.name, row.role, row.project_id, row.created_at, row.expires_at, row.last_used_at)
