"""First answers to requests with an `Idempotency-Key`, kept for a day."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import col

from app.domain.documents import Json
from app.store.database import Tx
from app.store.schema import AnswerRow
from app.store.upsert import insert_unless_there

KEPT = timedelta(days=1)


@dataclass(frozen=True)
class KeyedRequest:
    """A request by who sent it, to which path, under which key."""

    principal: str
    path: str
    key: str


@dataclass(frozen=True)
class Remembered:
    """`fingerprint` is a keyed digest of the request's body."""

    fingerprint: str = field(repr=False)
    answer: Json


def reserve(tx: Tx, request: KeyedRequest, fingerprint: str, now: datetime) -> bool:
    """True for the first request of its key; another one at the same time waits here until this is committed."""
    tx.connection().execute(delete(AnswerRow).where(col(AnswerRow.created_at) <= now - KEPT))
    row = {**vars(request), "fingerprint": fingerprint, "answer": {}, "created_at": now}
    statement = insert_unless_there(tx, AnswerRow, **row)
    counted = {"preserve_rowcount": True}  # which is not told of an INSERT otherwise
    return tx.connection().execute(statement, execution_options=counted).rowcount == 1


def remember(tx: Tx, request: KeyedRequest, answer: Json) -> None:
    _row(tx, request).answer = answer


def is_remembered(tx: Tx, request: KeyedRequest) -> bool:
    return tx.get(AnswerRow, (request.principal, request.path, request.key)) is not None


def remembered(tx: Tx, request: KeyedRequest) -> Remembered:
    row = _row(tx, request)
    return Remembered(row.fingerprint, row.answer)


def _row(tx: Tx, request: KeyedRequest) -> AnswerRow:
    return tx.get_one(AnswerRow, (request.principal, request.path, request.key))
