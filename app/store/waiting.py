"""Rows that wait for a time, where the clock by which it was set has been set back since."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, update
from sqlmodel import col, select

from app.store.database import Tx
from app.store.schema import (
    BuildRow,
    CommitStatusRow,
    DecisionRow,
    DeliveryRow,
    FlowNodeRow,
    MailRow,
    NotificationRow,
    RunRow,
    ServerRow,
)

# The time that a row of a table waits for, and what is so of it as long as it does.
WAITING: tuple[tuple[Any, str, dict[str, str]], ...] = (
    (RunRow, "available_at", {"status": "queued"}),
    (BuildRow, "available_at", {"status": "queued"}),
    (DeliveryRow, "available_at", {"status": "received"}),
    (FlowNodeRow, "available_at", {"status": "waiting"}),
    (CommitStatusRow, "due_at", {}),
    (NotificationRow, "due_at", {}),
    (MailRow, "due_at", {}),
)


def latest(tx: Tx) -> datetime | None:
    """The latest time at which anything is known to have happened."""
    known = (
        tx.exec(select(func.max(DecisionRow.at))).one(),
        tx.exec(select(func.max(ServerRow.heartbeat_at))).one(),
    )
    return max((at for at in known if at is not None), default=None)


def bring_forward(tx: Tx, was: datetime, now: datetime) -> None:
    """Let nothing wait longer for the clock having been set back from `was` to `now`."""
    for table, column, state in WAITING:
        waits_for = getattr(table, column)
        is_waiting = waits_for > now, *(col(getattr(table, name)) == value for name, value in state.items())
        due = update(table).where(*is_waiting, waits_for <= was)
        tx.connection().execute(due.values({column: now}))
        for row_id, at in tx.exec(select(table.id, waits_for).where(*is_waiting)):
            later = update(table).where(col(table.id) == row_id, *is_waiting)
            tx.connection().execute(later.values({column: now + (at - was)}))
