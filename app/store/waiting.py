"""Rows that wait for a time, where the clock by which it was set has been set back since."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, update
from sqlmodel import col, select

from app.store.database import Tx
from app.store.schema import BuildRow, DecisionRow, DeliveryRow, FlowNodeRow, RunRow, ServerRow

WAITING: tuple[tuple[Any, str], ...] = (
    (RunRow, "queued"),
    (BuildRow, "queued"),
    (DeliveryRow, "received"),
    (FlowNodeRow, "waiting"),
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
    for table, status in WAITING:
        is_waiting = col(table.status) == status, col(table.available_at) > now
        due = update(table).where(*is_waiting, col(table.available_at) <= was)
        tx.connection().execute(due.values(available_at=now))
        for row_id, at in tx.exec(select(table.id, table.available_at).where(*is_waiting)):
            later = update(table).where(col(table.id) == row_id, *is_waiting)
            tx.connection().execute(later.values(available_at=now + (at - was)))
