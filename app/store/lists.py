"""Long lists that are filtered, a page at a time and both ways, in a bounded time whatever is asked for.

A page is looked for along an index, and among at most `LOOKED_AT` of its rows: filters that no index has may leave few
of them, or none. Then the page says how far it looked, and the next one goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import ge, gt, le, lt
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func, select, tuple_

from app.domain.errors import NotFound
from app.store.database import Tx

LOOKED_AT = 10_000
FURTHER_LOOKS = 20  # for what takes the place of rows that can't be read
CLOCKS = timedelta(minutes=10)  # that servers' clocks may differ by
V = TypeVar("V")
Conditions = Sequence[ColumnElement[bool]]
Key = Sequence[Any]  # columns of an order, the last of which is the id
Position = tuple[Any, ...]  # the values of a row's key


@dataclass(frozen=True)
class Place:
    """Where a page is: older than the row `before`, or newer than the row `after`; else the newest ones."""

    before: int | None = None
    after: int | None = None


NEWEST = Place()


@dataclass(frozen=True)
class Stretch:
    """The ids of a page, newest first.

    `older` is what the next page is `before`, `newer` what the one before it is `after`; None where there is none.
    `looked_to` is the row after which nobody looked, if the page may lack some because of that.
    """

    ids: Sequence[int]
    older: int | None
    newer: int | None
    looked_to: int | None = None


@dataclass(frozen=True)
class Count:
    """How many there are of a kind: `number` of the newest `among`; None stands for all that there are."""

    number: int
    among: int | None


@dataclass(frozen=True)
class Sought:
    """What a list is of: of each base, which an index leads through in the order of `key`, what the filters leave.

    No row is of two bases, such as those of two projects.
    """

    key: Key
    bases: Sequence[Conditions]
    filters: Conditions = ()

    def made_between(
        self, tx: Tx, ids: Any, made_at: Any, since: datetime | None, until: datetime | None
    ) -> Sought:
        """Return the same of what was made in a time, bounds included.

        Ids follow the time, but for what the clocks of several servers differ by. So bounds of the ids are found by
        some twenty looks at the primary key, and the times themselves tell the rest.
        """
        bounds: list[ColumnElement[bool]] = []
        exact: list[ColumnElement[bool]] = []
        if since is not None:
            bounds.append(self.key[0] >= _first_id_since(tx, ids, made_at, since - CLOCKS))
            exact.append(made_at >= since)
        if until is not None:
            bounds.append(self.key[0] < _first_id_since(tx, ids, made_at, until + CLOCKS))
            exact.append(made_at <= until)
        return replace(self, bases=[[*base, *bounds] for base in self.bases], filters=[*self.filters, *exact])


def stretch(tx: Tx, sought: Sought, place: Place, limit: int) -> Stretch:
    """Return a page of up to `limit` ids."""
    is_back = place.after is not None
    found: list[Position] = []
    ends: list[Position] = []
    for base in sought.bases:
        rows = _ordered(tx, sought, base, place)
        end = _end(tx, rows) if sought.filters else None
        wanted = rows.where(*sought.filters)
        if end is not None:
            wanted = wanted.where(_compared(sought.key, end, le if is_back else ge))
        some = tx.connection().execute(wanted.limit(limit + 1)).all()
        found += [tuple(row) for row in some]
        if end is not None and len(some) <= limit:
            ends.append(end)
    return _page(found, ends, place, limit)


def page(
    tx: Tx, sought: Sought, place: Place, limit: int, read: Callable[[Sequence[int]], list[V]]
) -> tuple[list[V], Stretch]:
    """Return a page of up to `limit` values and where it is.

    `read` gives the values of some ids in their order, without those that can't be read. Further ones come in the place
    of these, as long as not very many follow one another.
    """
    found = stretch(tx, sought, place, limit)
    values = read(found.ids)
    for _ in range(FURTHER_LOOKS):
        onward = found.older if place.after is None else found.newer
        if len(values) == limit or onward is None or found.looked_to is not None:
            break
        beyond = Place(before=onward) if place.after is None else Place(after=onward)
        more = stretch(tx, sought, beyond, limit - len(values))
        if place.after is None:
            values += read(more.ids)
            found = Stretch([*found.ids, *more.ids], more.older, found.newer, more.looked_to)
        else:
            values = [*read(more.ids), *values]
            found = Stretch([*more.ids, *found.ids], found.older, more.newer, more.looked_to)
    return values, found


def _ordered(tx: Tx, sought: Sought, base: Conditions, place: Place) -> Any:
    rows = select(*sought.key).where(*base)
    at = place.before if place.after is None else place.after
    if at:
        is_beyond = lt if place.after is None else gt
        rows = rows.where(_compared(sought.key, _position(tx, sought.key, at), is_beyond))
    return rows.order_by(*(each if place.after is not None else each.desc() for each in sought.key))


def _position(tx: Tx, key: Key, row_id: int) -> Position:
    """Where the row with that id is in the order of the key; the id says that itself if there is nothing else."""
    if len(key) == 1:
        return (row_id,)
    found = tx.connection().execute(select(*key).where(key[-1] == row_id)).first()
    if found is None:
        raise NotFound(
            f"There is nothing with the id {row_id} in this list any more: begin at its newest page."
        )
    return tuple(found)


def _end(tx: Tx, rows: Any) -> Position | None:
    """The last row that is looked at, if there are so many."""
    found = tx.connection().execute(rows.offset(LOOKED_AT - 1).limit(1)).first()
    return None if found is None else tuple(found)


def _compared(key: Key, position: Position, operator: Callable[[Any, Any], Any]) -> ColumnElement[bool]:
    one = len(key) == 1
    compared: ColumnElement[bool] = operator(
        *((key[0], position[0]) if one else (tuple_(*key), tuple_(*position)))
    )
    return compared


def _page(found: Sequence[Position], ends: Sequence[Position], place: Place, limit: int) -> Stretch:
    """Put together what was found of each base, as far as all of them were looked through."""
    is_back = place.after is not None
    end = (min if is_back else max)(ends, default=None)
    kept = [each for each in found if end is None or (each <= end if is_back else each >= end)]
    ids = [each[-1] for each in sorted(kept, reverse=not is_back)]
    further = ids[limit - 1] if len(ids) > limit else None if end is None else end[-1]
    looked_to = None if end is None or len(ids) > limit else end[-1]
    ids = ids[:limit]
    if place.after is not None:
        behind = None if place.after == 0 else ids[0] if ids else place.after
        return Stretch(ids[::-1], behind, further, looked_to)
    behind = None if place.before is None else ids[0] if ids else place.before
    return Stretch(ids, further, behind, looked_to)


def count(tx: Tx, sought: Sought) -> Count:
    """Count the newest ones that the filters leave, of at most `LOOKED_AT` of each base."""
    number, among = 0, 0
    is_bounded = False
    for base in sought.bases:
        end = _end(tx, _ordered(tx, sought, base, NEWEST))
        is_bounded = is_bounded or end is not None
        if end is not None and not sought.filters:
            number, among = number + LOOKED_AT, among + LOOKED_AT
            continue
        within = [*base] if end is None else [*base, _compared(sought.key, end, ge)]
        counted = select(func.count(sought.key[-1])).where(*within, *sought.filters)
        number += tx.connection().execute(counted).scalar_one()
        among += 0 if end is None else LOOKED_AT
    return Count(number, among if is_bounded else None)


def _first_id_since(tx: Tx, key: Any, made_at: Any, at: datetime) -> int:
    low, high = 0, (tx.connection().execute(select(func.max(key))).scalar() or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = (
            tx.connection().execute(select(key, made_at).where(key >= middle).order_by(key).limit(1)).first()
        )
        if row is None or row[1] >= at:
            high = middle
        else:
            low = row[0] + 1
    return low
