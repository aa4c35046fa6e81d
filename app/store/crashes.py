"""Crash counting in the store: what crashed servers worked on is counted, released, and held back if suspected."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Table, select, update

from app.domain.crashes import CLEARED_AFTER, SUSPECTED_AFTER, blamed, quiet_after
from app.store.bulk import table_of
from app.store.database import Tx, touch
from app.store.schema import BuildRow, DeliveryRow, RunRow, ServerRow

BESIDE = timedelta(seconds=10)  # between deliveries under suspicion, so that one is not taken for another
BUILD, RUN, DELIVERY, SERVER = (table_of(each) for each in (BuildRow, RunRow, DeliveryRow, ServerRow))
IN_HAND = {BUILD: "running", RUN: "running", DELIVERY: "received"}
WAITING = {BUILD: "queued", DELIVERY: "received"}


def count(tx: Tx, me: str) -> bool:
    """Count and release what servers worked on that are not registered any more; return whether there was anything."""
    alive = select(SERVER.c.id)
    before: dict[tuple[Table, int], int] = {}
    for table, status in IN_HAND.items():
        held = (
            select(table.c.id, table.c.deaths)
            .where(table.c.status == status, table.c.owner.is_not(None), table.c.owner != me)
            .where(table.c.owner.not_in(alive))
            .with_for_update(skip_locked=True)
        )
        before |= {(table, row_id): deaths for row_id, deaths in tx.connection().execute(held)}
    for table, row_id in blamed(before):
        _change(tx, table, table.c.id == row_id, deaths=table.c.deaths + 1)
    for table, row_id in before:
        not_a_try = {"tries": table.c.tries - 1} if table is DELIVERY else {}
        _change(tx, table, table.c.id == row_id, owner=None, **not_a_try)
    if before:
        touch(tx, "deliveries")
    return bool(before)


def let_go(tx: Tx, owner: str) -> None:
    """Release what a server works on that was told to stop, to be taken over at once; no crash is counted."""
    for table in (BUILD, RUN):
        _change(tx, table, table.c.status == "running", table.c.owner == owner, owner=None)


def hold_back(tx: Tx, now: datetime) -> None:
    """Let what is suspected wait until this server, which has just begun or seen one end, has stayed up long enough."""
    for table, status in WAITING.items():
        waiting = _suspects(table, status, table.c.available_at)
        for place, (row_id, deaths, available_at) in enumerate(tx.connection().execute(waiting).all()):
            earliest = now + quiet_after(deaths) + place * BESIDE
            if available_at is None or available_at < earliest:
                _change(tx, table, table.c.id == row_id, available_at=earliest)


def clear_suspicion(tx: Tx, owner: str, up_for: timedelta) -> None:
    """Reduce the counts of runs that a server works on and has not crashed with, as runs may go on for ever."""
    held = (RUN.c.status == "running", RUN.c.owner == owner)
    if up_for >= CLEARED_AFTER:
        _change(tx, RUN, *held, RUN.c.deaths > 0, deaths=0)
    _change(tx, RUN, *held, RUN.c.deaths >= SUSPECTED_AFTER, deaths=SUSPECTED_AFTER - 1)


def next_suspect(tx: Tx, up_for: timedelta) -> int | None:
    """Return the suspected run that comes next, if a server that has been up for so long may retry it."""
    waiting = tx.connection().execute(_suspects(RUN, "running"))
    return next((row_id for row_id, deaths in waiting if quiet_after(deaths) <= up_for), None)


def _suspects(table: Table, status: str, *more: ColumnElement[Any]) -> Any:
    """Return a query for ids and counts of what is suspected and owned by nobody, in the order of its retries."""
    return (
        select(table.c.id, table.c.deaths, *more)
        .where(table.c.status == status, table.c.owner.is_(None), table.c.deaths >= SUSPECTED_AFTER)
        .order_by(table.c.deaths, table.c.id)
    )


def _change(tx: Tx, table: Table, *which: ColumnElement[bool], **values: Any) -> None:
    tx.connection().execute(update(table).where(*which).values(**values))
