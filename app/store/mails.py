"""Mails that lead to an account: asked for, sent, tried again. Of each user there is one at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy import delete, update
from sqlmodel import col, select

from app.store.counts import happened
from app.store.database import Tx, touch
from app.store.schema import MailRow

TOPIC = "mails"


@dataclass(frozen=True)
class Mail:
    """`link` is the sealed path that is sent; without one, somebody says to be `account` and forgot the password.

    `due_at` is None for one that was sent or given up; `said` is what came of the last try.
    """

    id: int
    user_id: int | None
    account: str
    created_at: datetime
    due_at: datetime | None
    tries: int
    said: str
    sent_at: datetime | None
    link: str | None = field(default=None, repr=False)

    @property
    def status(self) -> Literal["waiting", "sent", "failed"]:
        if self.sent_at is not None:
            return "sent"
        return "failed" if self.due_at is None else "waiting"


def add(
    tx: Tx, now: datetime, *, user_id: int | None = None, account: str = "", link: str | None = None
) -> None:
    """A mail that is due now, in place of the one that the user has."""
    if user_id is not None:
        tx.connection().execute(delete(MailRow).where(col(MailRow.user_id) == user_id))
    tx.add(MailRow(user_id=user_id, account=account, link=link, created_at=now, due_at=now))
    tx.flush()
    touch(tx, TOPIC)


def due_at(tx: Tx) -> datetime | None:
    """When the next one is due."""
    query = select(MailRow.due_at).where(col(MailRow.due_at).is_not(None))
    return tx.exec(query.order_by(col(MailRow.due_at)).limit(1)).first()


def claim(tx: Tx, now: datetime, until: datetime) -> Mail | None:
    """The mail that is due longest, which nobody else takes before `until`: then whoever took it has died."""
    query = select(MailRow).where(col(MailRow.due_at) <= now).order_by(col(MailRow.due_at)).limit(1)
    row = tx.exec(query).first()
    if row is None:
        return None
    taken = update(MailRow).where(col(MailRow.id) == row.id, col(MailRow.due_at) == row.due_at)
    if tx.connection().execute(taken.values(due_at=until, tries=row.tries + 1)).rowcount == 0:
        return None
    tx.refresh(row)
    return _value(row)


def conclude(
    tx: Tx, mail: Mail, said: str, *, due_at: datetime | None, sent_at: datetime | None = None
) -> None:
    """What came of a try: the next one is due then, or (None) there is none. Not if another was made meanwhile.

    The link of a mail that is over is forgotten; that of another stays as it is now: it may have been sealed anew.
    """
    own = update(MailRow).where(
        col(MailRow.id) == mail.id, col(MailRow.due_at).is_not(None), col(MailRow.tries) == mail.tries
    )
    forgotten = {"link": None} if due_at is None else {}
    ended = own.values(said=said, due_at=due_at, sent_at=sent_at, **forgotten)
    if tx.connection().execute(ended).rowcount and due_at is None:
        happened(tx, "mail", "failed" if sent_at is None else "sent")
    touch(tx, TOPIC)


def drop(tx: Tx, mail: Mail) -> None:
    tx.connection().execute(delete(MailRow).where(col(MailRow.id) == mail.id))


def of_user(tx: Tx, user_id: int) -> Mail | None:
    row = tx.exec(select(MailRow).where(MailRow.user_id == user_id)).first()
    return None if row is None else _value(row)


def _value(row: MailRow) -> Mail:
    return Mail(
        row.id,
        row.user_id,
        row.account,
        row.created_at,
        row.due_at,
        row.tries,
        row.said,
        row.sent_at,
        row.link,
    )
