"""Rows that this version can't read, such as those of a later one: no list that they are in breaks because of them.

They are left out of lists, and what names one of them raises Unreadable. Each is named in the log once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from app.domain.errors import JobyardError, Unreadable
from app.store.database import NAMED, Tx

log = logging.getLogger(__name__)
V = TypeVar("V")
Older = Callable[
    [int | None], Any
]  # a query of rows, newest first: all, or those older than the one with that id


def value_of(tx: Tx, value: Callable[..., V], found: Any) -> V:
    """The value of what a query found: a row of a table, alone or with further columns behind it.

    Raises Unreadable where this version can't make it.
    """
    row, *further = found if isinstance(found, Row) else (found,)
    try:
        return value(row, *further)
    except (SQLAlchemyError, JobyardError):
        raise
    except Exception as error:
        raise unreadable(tx, row.__tablename__, row.id, error) from error


def values_of(tx: Tx, value: Callable[..., V], found: Iterable[Any]) -> list[V]:
    """The values of what a query found, without those that this version can't make."""
    values = []
    for each in found:
        try:
            values.append(value_of(tx, value, each))
        except Unreadable:
            continue  # the log names it
    return values


def newest(tx: Tx, older: Older, value: Callable[..., V], limit: int, before: int | None) -> list[V]:
    """The newest values that can be read, at most `limit`, of what is older than the row with the id `before`.

    Where rows are left out, as many older ones come instead, so that a page that is not full is the last one.
    """
    values: list[V] = []
    while True:
        wanted = limit - len(values)
        found = tx.exec(older(before).limit(wanted)).all()
        values += values_of(tx, value, found)
        if len(found) < wanted or len(values) == limit:
            return values
        last = found[-1]
        before = (last[0] if isinstance(last, Row) else last).id


def by_id(query: Any, key: Any) -> Older:
    """A query's rows, newest first by the column `key`, which has their ids."""
    ordered = query.order_by(key.desc())
    return lambda before: ordered if before is None else ordered.where(key < before)


def unreadable(tx: Tx, table: str, row_id: int, error: Exception) -> Unreadable:
    """The error that a row can't be read, which is in the log from now on."""
    name = f"{table.replace('_', ' ')} {row_id}"
    named: set[str] = tx.info.setdefault(NAMED, set())
    if name not in named:
        named.add(name)
        cause = error.__cause__ or error
        said = f"{type(cause).__name__}: {cause}"
        log.error("%s can't be read by this version of Jobyard, so lists leave it out (%s)", name, said)
    return Unreadable(
        f"What is stored of {name} can't be read by this version of Jobyard; the server's log has more."
    )
