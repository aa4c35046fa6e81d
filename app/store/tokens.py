"""API tokens, known by their hashes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, select

from app.domain.errors import Conflict, NotFound
from app.domain.principals import Grant, Scope
from app.store import sessions
from app.store.database import Tx
from app.store.schema import TokenRow

SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Token:
    """An API token without its secret. `project_id` None means all projects."""

    id: int
    name: str
    scopes: tuple[Scope, ...]
    project_id: int | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None

    @property
    def grant(self) -> Grant:
        return Grant.of_scopes(self.scopes, self.project_id)


def add(
    tx: Tx,
    name: str,
    hash_: str,
    scopes: Collection[Scope],
    now: datetime,
    *,
    project_id: int | None = None,
    expires_at: datetime | None = None,
) -> Token:
    if tx.exec(select(TokenRow.id).where(TokenRow.name == name)).first() is not None:
        raise Conflict(f"There is a token named {name} already.")
    words = " ".join(scope for scope in Scope if scope in scopes)
    row = TokenRow(
        name=name, hash=hash_, scopes=words, project_id=project_id, created_at=now, expires_at=expires_at
    )
    tx.add(row)
    tx.flush()
    return _token(row)


def with_hash(tx: Tx, hash_: str, now: datetime) -> Token | None:
    """A token that is not expired."""
    row = tx.exec(select(TokenRow).where(TokenRow.hash == hash_)).first()
    if row is None or (row.expires_at is not None and row.expires_at <= now):
        return None
    return _token(row)


def expired(tx: Tx, hash_: str, now: datetime) -> Token | None:
    """The token of that hash, if its time is over."""
    row = tx.exec(select(TokenRow).where(TokenRow.hash == hash_)).first()
    return None if row is None or row.expires_at is None or row.expires_at > now else _token(row)


def mark_used(tx: Tx, token_id: int, now: datetime) -> None:
    tx.get_one(TokenRow, token_id).last_used_at = now


def page(tx: Tx, limit: int, before: int | None = None) -> Sequence[Token]:
    query = select(TokenRow).order_by(col(TokenRow.id).desc()).limit(limit)
    if before is not None:
        query = query.where(col(TokenRow.id) < before)
    return [_token(row) for row in tx.exec(query)]


def with_id(tx: Tx, token_id: int) -> Token:
    row = tx.get(TokenRow, token_id)
    if row is None:
        raise NotFound(f"There is no token {token_id}.")
    return _token(row)


def revoke(tx: Tx, token_id: int) -> None:
    """The sessions that were opened with it end."""
    row = tx.get_one(TokenRow, token_id)
    sessions.end_opened_with(tx, row.hash)
    tx.delete(row)


def _token(row: TokenRow) -> Token:
    scopes = tuple(Scope(word) for word in row.scopes.split())
    return Token(row.id, row.name, scopes, row.project_id, row.created_at, row.expires_at, row.last_used_at)
