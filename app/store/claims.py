"""Taking queued work, and taking over the work of a server that died.

A claim bumps the row's `token`; every later write names that token, so a server that was stopped past its time and
comes back changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, Update, bindparam, delete, func, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select

from app.domain.quotas import AtWork, ProjectLimits
from app.store import quotas
from app.store.bulk import table_of
from app.store.database import Tx
from app.store.schema import BuildRow, RunRow, ServerRow

log = logging.getLogger(__name__)
V = TypeVar("V")
Claimable = type[BuildRow] | type[RunRow]
Claim = tuple[int, int]  # a row's id and its token
DEAD_AFTER = timedelta(seconds=15)  # three heartbeats of servers that share a database
UNREADABLE = "What is stored of this can't be read by this version of Jobyard; the server's log has more."


ME: Any = bindparam("me")  # whose the row is from now on
NOW: Any = bindparam("now", type_=table_of(BuildRow).c.available_at.type)
_PROJECT: Any = bindparam("project")


def claiming(table: Claimable, *conditions: ColumnElement[bool], **values: Any) -> Update:
    """Return the statement of `claim_next`, which is made once a table: that costs more than executing it.

    `conditions` hold back rows that may not start yet; they and the `values` may name ME and NOW.
    """
    due = (
        select(table.id)
        .where(table.status == "queued", table.project_id == _PROJECT)
        .where(col(table.available_at) <= NOW, *conditions)
        .order_by(col(table.available_at), col(table.id))
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return (
        update(table)
        .where(col(table.id) == due.scalar_subquery(), col(table.status) == "queued")
        .values(status="running", owner=ME, token=table.token + 1, **values)
        .returning(col(table.id))
    )


@dataclass(frozen=True)
class Turn:
    """What takes a project's next row within its limits: a statement of `claiming` and its conditions' parameters."""

    statement: Update
    parameters: Mapping[str, object] = field(default_factory=dict)


TurnOf = Callable[[int, ProjectLimits, AtWork], Turn | None]  # None where the project may take none


def claim_next(tx: Tx, table: Claimable, turn_of: TurnOf, owner: str, now: datetime) -> int | None:
    """The id of the next queued row, now running and owned; None if none is due that may begin.

    That is the one that has waited longest of the project with the fewest running, of those that are within their
    limits: one that is not holds up no other.
    """
    since: dict[int, Any] = dict(map(tuple, tx.connection().execute(_waiting(table), {"now": now})))
    limits = quotas.limits_of(tx, since)
    bounded = [project for project in since if quotas.bounds_work(limits[project], table)]
    quotas.hold(tx, bounded)
    at_work = quotas.at_work(tx, table, since) if bounded or len(since) > 1 else {}
    idle = AtWork()
    for project in sorted(since, key=lambda each: (at_work.get(each, idle).number, since[each])):
        turn = turn_of(project, limits[project], at_work.get(project, idle))
        if turn is None:
            continue
        given = {"me": owner, "now": now, "project": project, **turn.parameters}
        found: int | None = tx.connection().execute(turn.statement, given).scalar_one_or_none()
        if found is not None:
            return found
    return None


@cache
def _waiting(table: Claimable) -> Select[Any]:
    query: Any = (
        select(table.project_id, func.min(table.available_at))
        .where(table.status == "queued", col(table.available_at) <= NOW)
        .group_by(col(table.project_id))
    )
    return query  # type: ignore[no-any-return]


def take_over(
    tx: Tx, table: Claimable, owner: str, in_hand: Set[Claim], *conditions: ColumnElement[bool]
) -> list[int]:
    """Running rows that nobody works on, now owned by this server, with a new token.

    Those are the rows of servers that are not registered (any more), and this server's own that are not `in_hand`.
    """
    alive = select(ServerRow.id).where(ServerRow.id != owner)
    abandoned = (
        select(table.id, table.token)
        .where(table.status == "running", col(table.owner).is_(None) | col(table.owner).not_in(alive))
        .where(*conditions)
        .order_by(col(table.id))
        .with_for_update(skip_locked=True)
    )
    taken = [row for row, token in tx.connection().execute(abandoned).all() if (row, token) not in in_hand]
    new_owner = update(table).where(col(table.id).in_(taken)).values(owner=owner, token=table.token + 1)
    tx.connection().execute(new_owner)
    return taken


def readable(
    tx: Tx, table: Claimable, ids: Sequence[int], read: Callable[[Tx, int], V], **instead: Any
) -> list[V]:
    """The values of claimed rows. One that can't be made sense of is changed to `instead`, out of the others' way."""
    values = []
    for row_id in ids:
        try:
            values.append(read(tx, row_id))
        except SQLAlchemyError:
            raise
        except Exception:
            log.exception("%s %s can't be read", table.__tablename__, row_id)
            change = update(table).where(col(table.id) == row_id).values(owner=None, **instead)
            tx.connection().execute(change)
    return values


def is_held(table: Claimable, token: int) -> tuple[ColumnElement[bool], ...]:
    """The guards of a change to a running row: it is still the claim's with this token."""
    return col(table.status) == "running", col(table.token) == token


def next_due_at(tx: Tx, table: Claimable) -> datetime | None:
    """Return when the next queued row becomes due; it may be in the past."""
    result: datetime | None = tx.connection().execute(_next_due(table)).scalar_one_or_none()
    return result


@cache
def _next_due(table: Claimable) -> Select[Any]:
    query: Any = (
        select(table.available_at).where(table.status == "queued").order_by(col(table.available_at)).limit(1)
    )
    return query  # type: ignore[no-any-return]


def time_of_servers(tx: Tx, now: datetime) -> datetime:
    """The time by which servers are known alive: the database's own, as their clocks may differ.

    SQLite has none, and only one server at a time; there it is `now`.
    """
    connection = tx.connection()
    if connection.dialect.name == "sqlite":
        return now
    found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return found


def register_server(tx: Tx, server_id: str, host: str, pid: int, now: datetime, keys: str = "") -> None:
    tx.add(ServerRow(id=server_id, host=host, pid=pid, started_at=now, heartbeat_at=now, keys=keys))


def heartbeat(tx: Tx, server_id: str, now: datetime, keys: str = "") -> bool:
    """False if somebody took this server for dead meanwhile. `keys` are the ids of those it has of secrets."""
    beat = update(ServerRow).where(col(ServerRow.id) == server_id).values(heartbeat_at=now, keys=keys)
    return tx.connection().execute(beat).rowcount == 1


def keys_of_servers(tx: Tx, now: datetime) -> Sequence[tuple[str, str]]:
    """Of each server that was heard of lately its host, and the ids of its keys of secrets."""
    since = time_of_servers(tx, now) - DEAD_AFTER
    query = select(ServerRow.host, ServerRow.keys).where(col(ServerRow.heartbeat_at) >= since)
    return tx.exec(query.order_by(ServerRow.host, ServerRow.id)).all()


def up_since(tx: Tx, server_id: str, now: datetime) -> datetime:
    row = tx.get(ServerRow, server_id)
    return now if row is None else row.started_at


def expire_servers(tx: Tx, now: datetime, *, alone: bool, me: str) -> list[str]:
    """Servers known dead, now unregistered: silent too long, or, when this one is `alone`, every other."""
    query = select(ServerRow.id).where(ServerRow.id != me)
    if not alone:
        query = query.where(col(ServerRow.heartbeat_at) < now - DEAD_AFTER)
    dead = list(tx.exec(query))
    if dead:
        tx.connection().execute(delete(ServerRow).where(col(ServerRow.id).in_(dead)))
    return dead
