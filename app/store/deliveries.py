"""Webhook deliveries: recorded once each, taken in order, settled with a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select

from app.domain.errors import NotFound
from app.domain.pushes import Movement
from app.store.bulk import table_of
from app.store.database import Database, Tx, touch
from app.store.schema import DeliveryRow, PushRow, SettingRow

REJECTED = "deliveries_rejected"
TABLE = table_of(DeliveryRow)
RECEIVED = (
    "forge",
    "guid",
    "event",
    "status",
    "sentence",
    "scopes",
    "body",
    "repository",
    "received_at",
)
NOTHING_YET = {"ref": "", "sha": "", "tries": 0, "replays": 0}
NEW_ONLY = "ON CONFLICT (forge, guid) DO NOTHING RETURNING forge, guid"


@dataclass(frozen=True)
class NewDelivery:
    """A verified call, as it came. `scopes` name the secrets that verified it (`project:1`, `source:2`)."""

    forge: str
    guid: str
    event: str
    ignored: bool
    scopes: tuple[str, ...]
    body: bytes = field(repr=False)
    repository: str
    received_at: datetime


@dataclass(frozen=True)
class Delivery:
    """`status` is received | processed | ignored | failed. `body` is left out of lists."""

    id: int
    forge: str
    guid: str
    event: str
    status: str
    scopes: tuple[str, ...]
    repository: str
    ref: str
    sha: str
    sentence: str
    tries: int
    replays: int
    received_at: datetime
    processed_at: datetime | None
    body: bytes = field(default=b"", repr=False)

    @property
    def event_id(self) -> str:
        """What decisions are stored under: a replay is an event of its own."""
        return self.event_ids[-1]

    @property
    def event_ids(self) -> tuple[str, ...]:
        """Of the first processing and of every replay."""
        return (self.guid, *(f"{self.guid}~{replay + 1}" for replay in range(self.replays)))


def record(db: Database, batch: Sequence[NewDelivery]) -> set[tuple[str, str]]:
    """Store a batch, durably; returns the (forge, guid) of those that were new. A repeat stores nothing."""
    rows: dict[tuple[str, str], tuple[Any, ...]] = {}
    for new in batch:
        rows.setdefault((new.forge, new.guid), _row(new))
    try:
        with db.statement("deliveries") as bulk:
            bulk.insert(TABLE, RECEIVED, list(rows.values()), NOTHING_YET)
    except db.IntegrityError:  # rare, and telling which are new costs the others dear
        with db.statement("deliveries") as bulk:
            return set(bulk.insert(TABLE, RECEIVED, list(rows.values()), NOTHING_YET, ending=NEW_ONLY))
    return set(rows)


def _row(new: NewDelivery) -> tuple[Any, ...]:
    """The values of `RECEIVED`."""
    return (
        new.forge,
        new.guid,
        new.event,
        "ignored" if new.ignored else "received",
        f"Event {new.event}: only pushes build." if new.ignored else "",
        list(new.scopes),
        new.body,
        new.repository,
        new.received_at,
    )


def claim(tx: Tx, now: datetime) -> Delivery | None:
    """The oldest delivery that waits to be processed. Its work is idempotent, so nothing marks it as taken."""
    query = (
        select(DeliveryRow)
        .where(DeliveryRow.status == "received")
        .where(col(DeliveryRow.available_at).is_(None) | (col(DeliveryRow.available_at) <= now))
        .order_by(col(DeliveryRow.id))
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = tx.exec(query).first()
    return None if row is None else _value(row, with_body=True)


def is_waiting(tx: Tx, delivery_id: int) -> bool:
    """Whether a delivery is still to be processed; until the transaction ends, by nobody else."""
    query = select(DeliveryRow.id).where(DeliveryRow.id == delivery_id, DeliveryRow.status == "received")
    return tx.exec(query.with_for_update()).first() is not None


def settle(
    tx: Tx, delivery_id: int, status: str, sentence: str, now: datetime, *, ref: str = "", sha: str = ""
) -> bool:
    """received → processed | ignored | failed; False if it was settled before."""
    statement = (
        update(DeliveryRow)
        .where(col(DeliveryRow.id) == delivery_id, col(DeliveryRow.status) == "received")
        .values(status=status, sentence=sentence, processed_at=now, ref=ref, sha=sha)
    )
    touch(tx, "deliveries")
    return tx.connection().execute(statement).rowcount == 1


def try_later(tx: Tx, delivery_id: int, sentence: str, available_at: datetime) -> None:
    later = (
        update(DeliveryRow)
        .where(col(DeliveryRow.id) == delivery_id, col(DeliveryRow.status) == "received")
        .values(tries=DeliveryRow.tries + 1, sentence=sentence, available_at=available_at)
    )
    tx.connection().execute(later)


def reopen(tx: Tx, delivery_id: int) -> None:
    """Process a delivery once more, by hand or because the first processing failed."""
    row = tx.get_one(DeliveryRow, delivery_id)
    row.replays += 1
    row.status, row.tries, row.available_at, row.processed_at = "received", 0, None, None
    touch(tx, "deliveries")


def find(tx: Tx, guid: str, forge: str | None = None) -> Delivery:
    query = select(DeliveryRow).where(DeliveryRow.guid == guid)
    if forge is not None:
        query = query.where(DeliveryRow.forge == forge)
    row = tx.exec(query).first()
    if row is None:
        raise NotFound(f"There is no delivery {guid}.")
    return _value(row, with_body=True)


def page(
    tx: Tx, limit: int, before: int | None = None, *, scopes: frozenset[str] | None = None
) -> Sequence[Delivery]:
    """Deliveries, newest first; of `scopes`, those that at least one of them verified."""
    columns = [c for c in TABLE.columns if c.name not in ("body", "available_at")]
    query = select(*columns).order_by(col(DeliveryRow.id).desc())
    if before is not None:
        query = query.where(col(DeliveryRow.id) < before)
    if scopes is None:
        rows = iter(tx.exec(query.limit(limit)))
    else:
        found = tx.exec(query.execution_options(yield_per=limit))
        rows = islice((row for row in found if scopes.intersection(row.scopes)), limit)
    return [Delivery(**{**row._mapping, "scopes": tuple(row.scopes)}) for row in rows]


def waiting(tx: Tx) -> int:
    return len(tx.exec(select(DeliveryRow.id).where(DeliveryRow.status == "received").limit(1000)).all())


def count_rejected(tx: Tx, number: int) -> None:
    """Remember that calls failed verification; nothing else of them is kept."""
    row = tx.get(SettingRow, REJECTED) or SettingRow(name=REJECTED, value="0")
    row.value = str(int(row.value) + number)
    tx.add(row)


def rejected(tx: Tx) -> int:
    row = tx.get(SettingRow, REJECTED)
    return 0 if row is None else int(row.value)


def movements(tx: Tx, repo_key: str, ref: str, limit: int = 50) -> Sequence[Movement]:
    """The latest movements of a branch, newest first."""
    query = select(PushRow).where(PushRow.repo_key == repo_key, PushRow.ref == ref)
    rows = tx.exec(query.order_by(col(PushRow.position).desc()).limit(limit))
    return [Movement(row.before, row.after, row.position) for row in rows]


def add_movement(tx: Tx, repo_key: str, ref: str, movement: Movement, delivery_id: int | None) -> None:
    tx.add(PushRow(repo_key=repo_key, ref=ref, delivery_id=delivery_id, **vars(movement)))


def movement_of(tx: Tx, delivery_id: int, repo_key: str) -> Movement | None:
    query = select(PushRow).where(PushRow.delivery_id == delivery_id, PushRow.repo_key == repo_key)
    row = tx.exec(query).first()
    return None if row is None else Movement(row.before, row.after, row.position)


def _value(row: DeliveryRow, *, with_body: bool = False) -> Delivery:
    return Delivery(
        id=row.id,
        forge=row.forge,
        guid=row.guid,
        event=row.event,
        status=row.status,
        scopes=tuple(row.scopes),
        repository=row.repository,
        ref=row.ref,
        sha=row.sha,
        sentence=row.sentence,
        tries=row.tries,
        replays=row.replays,
        received_at=row.received_at,
        processed_at=row.processed_at,
        body=row.body if with_body else b"",
    )
