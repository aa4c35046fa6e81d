"""API tokens, known by their hashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, select

from app.domain.errors import NotFound
from app.store.database import Tx
from app.store.schema import TokenRow

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


def add(
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


def with_hash(tx: Tx, hash_: str, now: datetime) -> Token | None:
    """A token that is not expired."""
    row = tx.exec(select(TokenRow).where(TokenRow.hash == hash_)).first()
    if row is None or (row.expires_at is not None and row.expires_at <= now):
        return None
    return _token(row)


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
    tx.delete(tx.get_one(TokenRow, token_id))


def _token(row: TokenRow) -> Token:
    return Token(row.id, row.name, row.role, row.project_id, row.created_at, row.expires_at, row.last_used_at)
