"""Time zones as stretches of constant offset, so that schedules can be searched in plain wall time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from app.domain.errors import InvalidValue

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_MARGIN = timedelta(days=8)  # more than any clock was ever put back


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time with one offset; `start` and `end` are naive UTC, the others naive wall time."""

    start: datetime
    end: datetime
    offset: timedelta
    wall_start: datetime
    wall_end: datetime
    seen_until: datetime
    """Where the wall clock stood when the period before ended: later than `wall_start` if clocks went back
    then,
    earlier if they went forward."""


def new_year(year: int) -> datetime:
    return datetime(year, 1, 1)  # noqa: DTZ001  UTC without saying so, like all instants in here


@lru_cache(maxsize=4096)
def periods(time_zone: str, year: int) -> tuple[Period, ...]:
    """The periods of UTC year `year`, ascending, beginning some days before it and ending with it."""
    edges = [new_year(year) - _MARGIN, *_changes(time_zone, year), new_year(year + 1)]
    found: list[Period] = []
    for start, end in pairwise(edges):
        offset = _offset(time_zone, start)
        seen = found[-1].wall_end if found else start + offset
        found.append(Period(start, end, offset, start + offset, end + offset, seen))
    return tuple(found)


@lru_cache(maxsize=1024)
def load_zone(name: str) -> ZoneInfo:
    """The zone called `name` by IANA; raises `InvalidValue("schedule.time_zone", …)`."""
    known = _names()
    if name not in known:
        by_lower = {other.lower(): other for other in known}
        close = get_close_matches(name.lower(), by_lower, n=1)
        hint = (
            f"did you mean {by_lower[close[0]]}?"
            if close
            else "use an IANA name such as Europe/Berlin or UTC."
        )
        raise InvalidValue("schedule.time_zone", f"There is no time zone '{name}'; {hint}")
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})


def _changes(time_zone: str, year: int) -> Iterator[datetime]:
    """Yield when, from the margin before `year` to its end, the offset changes; at most one a day."""
    day, end = new_year(year) - _MARGIN, new_year(year + 1)
    offset = _offset(time_zone, day)
    while day < end:
        following = day + _DAY
        if offset != (offset := _offset(time_zone, following)):
            yield _change_between(time_zone, day, following)
        day = following


def _change_between(time_zone: str, before: datetime, after: datetime) -> datetime:
    old = _offset(time_zone, before)
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        middle -= timedelta(microseconds=middle.microsecond)
        if _offset(time_zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def _offset(time_zone: str, instant: datetime) -> timedelta:
    offset = instant.replace(tzinfo=UTC).astimezone(load_zone(time_zone)).utcoffset()
    assert offset is not None
    return offset
