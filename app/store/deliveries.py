"""Webhook deliveries: recorded once each, taken in order, settled with a sentence."""

from __future__ import annotations

import logging
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import bindparam, literal_column, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from app.domain.errors import NotFound
from app.domain.events import PULL_REQUEST
from app.domain.lanes import lane_of
from app.domain.traces import Traced
from app.store import traces
from app.store.bulk import table_of
from app.store.claims import UNREADABLE, Claim
from app.store.counts import happened
from app.store.database import Database, Tx, touch
from app.store.schema import DeliveryRow, SettingRow

log = logging.getLogger(__name__)
REJECTED = "deliveries_rejected"
TABLE = table_of(DeliveryRow)
WAITING: Any = literal_column("'received'")  # in the words of the index that holds these alone
IS_PING: Any = col(DeliveryRow.event) == literal_column("'ping'")  # as well
RECEIVED = (
    "forge",
    "guid",
    "event",
    "status",
    "sentence",
    "scopes",
    "body",
    "repository",
    "lane",
    "received_at",
)
NOTHING_YET = {"ref": "", "sha": "", "tries": 0, "replays": 0, "deaths": 0, "asks_git": False, "token": 0}
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
    lane: str = ""  # the projects and repositories it is for: those of a lane are taken in order


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
    crashes: int
    received_at: datetime
    processed_at: datetime | None
    lane: str = ""
    asks_git: bool = False
    token: int = 0
    approved_by: str | None = None  # who lets the commit of a fork be built
    body: bytes = field(default=b"", repr=False)

    @property
    def event_id(self) -> str:
        """Return what decisions are stored under: a replay is an event of its own."""
        return self.event_ids[-1]

    @property
    def event_ids(self) -> tuple[str, ...]:
        """Return the event ids of the first processing and of every replay."""
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


def add(tx: Tx, new: NewDelivery, sentence: str) -> None:
    """Store a delivery that no call brought, together with what else the transaction stores."""
    values = dict(zip(RECEIVED, _row(new), strict=True))
    tx.add(DeliveryRow(**{**values, "sentence": sentence}))
    tx.flush()
    touch(tx, "deliveries")


def waits_in_lane(tx: Tx, project_id: int, repo_key: str) -> bool:
    """Return whether a delivery for a project's repository has not been decided yet."""
    lanes = tx.exec(select(DeliveryRow.lane).where(DeliveryRow.status == WAITING).distinct())
    return any(lane_of([(project_id, repo_key)]) in lane.split(" ") for lane in lanes)


def _row(new: NewDelivery) -> tuple[Any, ...]:
    """The values of `RECEIVED`."""
    return (
        new.forge,
        new.guid,
        new.event,
        "ignored" if new.ignored else "received",
        _why_ignored(new.event) if new.ignored else "",
        list(new.scopes),
        new.body,
        new.repository,
        new.lane,
        new.received_at,
    )


def _why_ignored(event: str) -> str:
    if event == "ping":
        return "A ping: the webhook's address and its secret are right."
    if event == PULL_REQUEST:
        return "Event pull_request: nothing here builds pull requests for its branch, or it changes none's commit."
    return f"Event {event}: only pushes build."


_Older = aliased(DeliveryRow)
_IS_HELD_BACK = (
    select(_Older.id)
    .where(_Older.lane == DeliveryRow.lane, _Older.id < DeliveryRow.id, _Older.status == WAITING)
    .correlate(DeliveryRow)
    .exists()
)
_NEXT_WAITING = (  # once, as making it costs several times as much as asking it
    select(DeliveryRow.id, DeliveryRow.lane)
    .where(DeliveryRow.status == WAITING, DeliveryRow.asks_git == bindparam("asks_git"))
    .where(col(DeliveryRow.owner).is_(None), ~_IS_HELD_BACK)
    .where(
        col(DeliveryRow.available_at).is_(None)
        | (col(DeliveryRow.available_at) <= bindparam("now", type_=table_of(DeliveryRow).c.available_at.type))
    )
    .order_by(col(DeliveryRow.id))
    .limit(bindparam("limit"))
)


def next_waiting(tx: Tx, now: datetime, *, asks_git: bool, limit: int = 1) -> Sequence[tuple[int, str]]:
    """Ids and lanes of deliveries that may be processed now, oldest first: no older one of their lane waits."""
    found = tx.exec(_NEXT_WAITING, params={"asks_git": asks_git, "now": now, "limit": limit})
    return [(id_, lane) for id_, lane in found]


def is_any_waiting(tx: Tx) -> bool:
    """Return whether a delivery is not settled yet, be it because it may not be processed just now."""
    return tx.exec(select(DeliveryRow.id).where(DeliveryRow.status == WAITING).limit(1)).first() is not None


def lanes_of(tx: Tx, owner: str) -> Sequence[str]:
    """The lanes whose deliveries a server processes now."""
    query = select(DeliveryRow.lane).where(DeliveryRow.status == WAITING, DeliveryRow.owner == owner)
    return tx.exec(query).all()


def claim(tx: Tx, delivery_id: int, owner: str) -> Delivery | None:
    """This server's to process, which counts as a try from now on.

    None if somebody else was first, or if nothing can be made of it: then it is given up, out of the others' way.
    """
    taken = (
        update(DeliveryRow)
        .where(col(DeliveryRow.id) == delivery_id, col(DeliveryRow.status) == WAITING)
        .where(col(DeliveryRow.owner).is_(None))
        .values(owner=owner, token=DeliveryRow.token + 1, tries=DeliveryRow.tries + 1)
    )
    if tx.connection().execute(taken).rowcount != 1:
        return None
    try:
        return _value(tx.get_one(DeliveryRow, delivery_id, populate_existing=True), with_body=True)
    except SQLAlchemyError:
        raise
    except Exception:
        log.exception("delivery %s can't be read", delivery_id)
        over = update(DeliveryRow).where(col(DeliveryRow.id) == delivery_id)
        given_up: dict[str, object] = {
            "status": "failed",
            "sentence": UNREADABLE,
            "scopes": [],
            "owner": None,
        }
        tx.connection().execute(over.values(**given_up))
        touch(tx, "deliveries")  # the next one of its lane may be taken
        return None


def is_held(tx: Tx, delivery: Delivery) -> bool:
    """Return whether a claim still holds; until the transaction ends it does."""
    query = select(DeliveryRow.id).where(*_held(delivery)).with_for_update()
    return tx.exec(query).first() is not None


def hand_to_git(tx: Tx, delivery: Delivery) -> None:
    """Back to where it waits for a place to ask Git from; that was no try. Whoever does this looks there next."""
    _let_go(tx, delivery, asks_git=True, tries=DeliveryRow.tries - 1)


def try_later(tx: Tx, delivery: Delivery, sentence: str, available_at: datetime) -> None:
    """Later ones of its lane wait for it."""
    _let_go(tx, delivery, sentence=sentence, available_at=available_at)


def wait(tx: Tx, delivery: Delivery, sentence: str, available_at: datetime) -> None:
    """Put a delivery back as `try_later` does, without counting a try."""
    _let_go(tx, delivery, sentence=sentence, available_at=available_at, tries=DeliveryRow.tries - 1)


def _let_go(tx: Tx, delivery: Delivery, **values: Any) -> None:
    tx.connection().execute(update(DeliveryRow).where(*_held(delivery)).values(owner=None, **values))


def _held(delivery: Delivery) -> tuple[Any, ...]:
    row = DeliveryRow
    return (
        col(row.id) == delivery.id,
        col(row.status) == WAITING,
        col(row.token) == delivery.token,
        col(row.owner).is_not(None),
    )


def release(tx: Tx, owner: str, in_hand: Set[Claim] = frozenset()) -> None:
    """Let what this server owns and doesn't work on wait again, without counting a try: it was at no fault."""
    query = select(DeliveryRow.id, DeliveryRow.token).where(
        DeliveryRow.status == WAITING, DeliveryRow.owner == owner
    )
    idle = [id_ for id_, token in tx.exec(query) if (id_, token) not in in_hand]
    if idle:
        again = update(DeliveryRow).where(col(DeliveryRow.id).in_(idle), col(DeliveryRow.owner) == owner)
        tx.connection().execute(again.values(owner=None, tries=DeliveryRow.tries - 1))
        touch(tx, "deliveries")


def settle(
    tx: Tx, delivery_id: int, status: str, sentence: str, now: datetime, *, ref: str = "", sha: str = ""
) -> bool:
    """received → processed | ignored | failed; False if it was settled before."""
    statement = (
        update(DeliveryRow)
        .where(col(DeliveryRow.id) == delivery_id, col(DeliveryRow.status) == "received")
        .values(status=status, sentence=sentence, processed_at=now, ref=ref, sha=sha, owner=None)
    )
    touch(tx, "deliveries")
    is_settled = tx.connection().execute(statement).rowcount == 1
    happened(tx, "delivery settled", status, number=int(is_settled))
    if is_settled:
        traces.note(tx, Traced.DELIVERY, delivery_id, now)
    return is_settled


def reopen(tx: Tx, delivery_id: int) -> None:
    """Process a delivery once more, by hand or because the first processing failed."""
    row = tx.get_one(DeliveryRow, delivery_id)
    row.replays += 1
    row.status, row.tries, row.deaths = "received", 0, 0
    row.available_at = row.processed_at = None
    row.owner, row.asks_git = None, False
    touch(tx, "deliveries")


def approve(tx: Tx, delivery_id: int, who: str) -> None:
    """Let the commit of a fork be built that a delivery tells of, and process it once more."""
    reopen(tx, delivery_id)
    tx.get_one(DeliveryRow, delivery_id).approved_by = who


def find(tx: Tx, guid: str, forge: str | None = None) -> Delivery:
    query = select(DeliveryRow).where(DeliveryRow.guid == guid)
    if forge is not None:
        query = query.where(DeliveryRow.forge == forge)
    row = tx.exec(query).first()
    if row is None:
        raise NotFound(f"There is no delivery {guid}.")
    return _value(row, with_body=True)


def with_id(tx: Tx, delivery_id: int) -> Delivery:
    row = tx.get(DeliveryRow, delivery_id)
    if row is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    return _value(row)


def page(
    tx: Tx, limit: int, before: int | None = None, *, scopes: frozenset[str] | None = None
) -> Sequence[Delivery]:
    """Deliveries, newest first; of `scopes`, those that at least one of them verified."""
    columns = [
        column.label("crashes") if column.name == "deaths" else column
        for column in TABLE.columns
        if column.name not in ("body", "available_at", "owner")
    ]
    query = select(*columns).order_by(col(DeliveryRow.id).desc())
    if before is not None:
        query = query.where(col(DeliveryRow.id) < before)
    if scopes is None:
        rows = iter(tx.exec(query.limit(limit)))
    else:
        found = tx.exec(query.execution_options(yield_per=limit))
        rows = islice((row for row in found if scopes.intersection(row.scopes)), limit)
    return [Delivery(**{**row._mapping, "scopes": tuple(row.scopes)}) for row in rows]


def last_ping(tx: Tx, scopes: frozenset[str]) -> datetime | None:
    """Return when a webhook last called to say that it is there, verified by one of the scopes, however long ago."""
    query = (
        select(DeliveryRow.received_at, DeliveryRow.scopes)
        .where(IS_PING)
        .order_by(col(DeliveryRow.id).desc())
    )
    found = tx.exec(query.execution_options(yield_per=100))
    return next((at for at, of in found if scopes.intersection(of)), None)


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
        crashes=row.deaths,
        received_at=row.received_at,
        processed_at=row.processed_at,
        lane=row.lane,
        asks_git=row.asks_git,
        token=row.token,
        approved_by=row.approved_by,
        body=row.body if with_body else b"",
    )
