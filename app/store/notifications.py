"""Notifications: messages to targets, gathered, claimed by whoever sends them, and kept with what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import delete, update
from sqlmodel import col, func, select

from app.domain.errors import NotFound
from app.domain.notifications import KEPT, MOST_ITEMS, Item, due_after
from app.store.counts import happened
from app.store.database import Tx, touch
from app.store.schema import NotificationRow, NotificationTargetRow
from app.store.unreadable import by_id, newest, values_of

TOPIC = "notifications"
Status = Literal["waiting", "sent", "failed"]


@dataclass(frozen=True)
class Notification:
    """`items` are at most `MOST_ITEMS` of the `count` that it tells. `said` is what came of the last try.

    `due_at` is None for one that was sent or given up; `tries` counts those that began.
    """

    id: int
    target_id: int
    items: tuple[Item, ...]
    count: int
    is_test: bool
    created_at: datetime
    due_at: datetime | None
    tries: int
    said: str
    sent_at: datetime | None
    job_id: int | None = None

    @property
    def status(self) -> Status:
        if self.sent_at is not None:
            return "sent"
        return "failed" if self.due_at is None else "waiting"


def gather(tx: Tx, target_id: int, item: Item, now: datetime) -> None:
    """Have an item told: in the message that waits for others, or in a new one."""
    query = select(NotificationRow).where(NotificationRow.target_id == target_id)
    newest = query.order_by(col(NotificationRow.id).desc()).limit(1)
    latest = tx.exec(newest.with_for_update().execution_options(populate_existing=True)).first()
    if latest is not None and latest.tries == 0 and latest.due_at is not None and not latest.is_test:
        latest.count += 1
        latest.items = [*latest.items, item.to_json()][:MOST_ITEMS]
        tx.flush()
    else:
        add(tx, target_id, item, now, due_at=due_after(now, None if latest is None else latest.created_at))


def add(
    tx: Tx,
    target_id: int,
    item: Item,
    now: datetime,
    *,
    due_at: datetime,
    is_test: bool = False,
    job_id: int | None = None,
) -> Notification:
    """A message of its own; the oldest of the target go."""
    row = NotificationRow(
        target_id=target_id,
        job_id=job_id,
        items=[item.to_json()],
        count=1,
        is_test=is_test,
        created_at=now,
        due_at=due_at,
    )
    tx.add(row)
    tx.flush()
    of_target = select(NotificationRow.id).where(NotificationRow.target_id == target_id)
    oldest = of_target.order_by(col(NotificationRow.id).desc()).offset(KEPT).limit(KEPT)
    gone = list(tx.exec(oldest))
    if gone:
        tx.connection().execute(delete(NotificationRow).where(col(NotificationRow.id).in_(gone)))
    touch(tx, TOPIC)
    return _value(row)


def due_at(tx: Tx) -> datetime | None:
    """Return when the next one is due."""
    query = select(NotificationRow.due_at).where(col(NotificationRow.due_at).is_not(None))
    return tx.exec(query.order_by(col(NotificationRow.due_at)).limit(1)).first()


def due(tx: Tx, now: datetime, limit: int) -> Sequence[tuple[int, int, str]]:
    """Return the id, the target's id and its kind of those that are due: of each target the one due longest."""
    query = (
        select(func.min(NotificationRow.id), NotificationRow.target_id, NotificationTargetRow.kind)
        .join(NotificationTargetRow, col(NotificationTargetRow.id) == col(NotificationRow.target_id))
        .where(col(NotificationRow.due_at).is_not(None), col(NotificationRow.due_at) <= now)
        .group_by(col(NotificationRow.target_id), col(NotificationTargetRow.kind))
        .order_by(func.min(NotificationRow.due_at))
        .limit(limit)
    )
    return [(number, target_id, kind) for number, target_id, kind in tx.exec(query)]


def claim(tx: Tx, notification_id: int, now: datetime, until: datetime) -> Notification | None:
    """The notification, which nobody else takes before `until`: then whoever took it has died. None if it isn't due."""
    is_due = (col(NotificationRow.due_at).is_not(None), col(NotificationRow.due_at) <= now)
    taken = (
        update(NotificationRow)
        .where(col(NotificationRow.id) == notification_id, *is_due)
        .values(due_at=until, tries=NotificationRow.tries + 1)
        .returning(NotificationRow)
    )
    options = {"synchronize_session": False, "populate_existing": True}
    row = tx.execute(taken, execution_options=options).scalar_one_or_none()
    return None if row is None else _value(row)


def conclude(
    tx: Tx,
    notification: Notification,
    said: str,
    *,
    kind: str,
    due_at: datetime | None,
    sent_at: datetime | None = None,
) -> bool:
    """What came of a try: the next one is due then, or (None) there is none. False if somebody else has taken it."""
    own = (
        col(NotificationRow.id) == notification.id,
        col(NotificationRow.due_at).is_not(None),
        col(NotificationRow.tries) == notification.tries,
    )
    ended = update(NotificationRow).where(*own).values(said=said, due_at=due_at, sent_at=sent_at)
    if tx.connection().execute(ended).rowcount == 0:
        return False
    if due_at is None:
        happened(tx, "notification", "failed" if sent_at is None else "sent", kind)
    touch(tx, TOPIC)
    return True


def is_overtaken(tx: Tx, notification: Notification) -> bool:
    """Return whether there is a later one of the same job to the same target."""
    query = select(NotificationRow.id).where(
        NotificationRow.target_id == notification.target_id,
        col(NotificationRow.id) > notification.id,
        NotificationRow.job_id == notification.job_id,
    )
    return tx.exec(query.limit(1)).first() is not None


def page(tx: Tx, target_id: int, limit: int, before: int | None = None) -> Sequence[Notification]:
    """Return those to a target, newest first."""
    query = select(NotificationRow).where(NotificationRow.target_id == target_id)
    return newest(tx, by_id(query, col(NotificationRow.id)), _value, limit, before)


def latest_of(tx: Tx, target_ids: Sequence[int]) -> dict[int, Notification]:
    """Return the newest to each of these targets that has one."""
    newest = select(func.max(NotificationRow.id)).where(col(NotificationRow.target_id).in_(target_ids))
    query = select(NotificationRow).where(
        col(NotificationRow.id).in_(newest.group_by(col(NotificationRow.target_id)))
    )
    return {each.target_id: each for each in values_of(tx, _value, tx.exec(query))}


def with_id(tx: Tx, notification_id: int) -> Notification:
    row = tx.get(NotificationRow, notification_id)
    if row is None:
        raise NotFound(f"There is no notification {notification_id}.")
    return _value(row)


def _value(row: NotificationRow) -> Notification:
    return Notification(
        id=row.id,
        target_id=row.target_id,
        items=tuple(Item.from_json(each) for each in row.items),
        count=row.count,
        is_test=row.is_test,
        created_at=row.created_at,
        due_at=row.due_at,
        tries=row.tries,
        said=row.said,
        sent_at=row.sent_at,
        job_id=row.job_id,
    )
