"""What a schedule comes to in a week: single times, or a band a day where there are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise

from app.domain.schedule import Fire, Schedule
from app.domain.schedule.zones import load_zone

DAYS = 7
SPARSE = 4 * DAYS  # so many times in a week are shown one by one
_INSTANT = timedelta(microseconds=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Band:
    """The first and last of many times on one day."""

    first: datetime
    last: datetime


@dataclass(frozen=True)
class Week:
    """`fires` where they are few; else `bands`, one a day, None for a day without any."""

    fires: Sequence[Fire] = ()
    bands: Sequence[Band | None] = ()


def midnights(now: datetime, time_zone: str) -> tuple[datetime, ...]:
    """Where the day of `now` and the six after it begin and end, in that zone: eight instants."""
    today = now.astimezone(load_zone(time_zone)).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return tuple((today + number * _DAY).astimezone(now.tzinfo) for number in range(DAYS + 1))


@lru_cache(maxsize=2048)
def week_of(expression: str, time_zone: str, edges: tuple[datetime, ...]) -> Week:
    """What is due from the first of `edges` on and before the last. Remembered, as schedules are asked for many times
    a day, and looks at a bounded number of times.
    """
    schedule = Schedule.parse(expression, time_zone)
    before, until = edges[0] - _INSTANT, edges[-1] - _INSTANT
    found = list(islice(schedule.fires_between(before, until), SPARSE + 1))
    if len(found) > SPARSE:
        return Week(bands=tuple(_band(schedule, *day) for day in pairwise(edges)))
    if changes_between(time_zone, edges[0] - _DAY, edges[-1] + _DAY):
        return Week(fires=tuple(schedule.upcoming(before, len(found))) if found else ())
    zone = load_zone(time_zone)
    return Week(fires=tuple(Fire(at, at.astimezone(zone), None) for at in found))


def changes_between(time_zone: str, start: datetime, end: datetime) -> timedelta:
    """By how much clocks there are set forward (or back, if negative) from `start` to `end`; 0 if they aren't."""
    zone = load_zone(time_zone)
    first, last = start.astimezone(zone).utcoffset(), end.astimezone(zone).utcoffset()
    assert first is not None
    assert last is not None
    return last - first


def _band(schedule: Schedule, begin: datetime, end: datetime) -> Band | None:
    first = schedule.next_after(begin - _INSTANT)
    return None if first >= end else Band(first, schedule.previous_or_at(end - _INSTANT))
