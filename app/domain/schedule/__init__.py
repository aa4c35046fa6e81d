"""When a job is due: cron expressions in a time zone, with Vixie cron's rules where clocks change.

A time is either an instant (aware, UTC) or wall time (naive). The search runs in wall time, over stretches of
constant offset: jobs whose hour or minute is `*` follow every stretch from end to end; for fixed times, what
a stretch repeats is left out and what the step into it skipped runs once, at its first instant. A day that a
zone left out altogether (Samoa's 30 December 2011) is not made up for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from app.domain import limits
from app.domain.errors import InvalidValue
from app.domain.schedule.fields import ALIASES, CronFields, parse_fields
from app.domain.schedule.pattern import Pattern
from app.domain.schedule.words import describe
from app.domain.schedule.zones import Period, load_zone, new_year, periods

__all__ = ["ALIASES", "Fire", "Schedule"]

_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_NOTHING = timedelta(0)
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_LONGEST_WAIT = timedelta(days=9 * 366)  # 29 February, over a year 2100


class Fire(NamedTuple):
    """One time a schedule is due; `note` says what a clock change does to it, if anything."""

    at: datetime
    local: datetime
    note: str | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A checked schedule; made by `parse`. Cheap to keep: searching changes nothing in it."""

    expression: str
    time_zone: str
    fields: CronFields
    pattern: Pattern

    @staticmethod
    def parse(expression: str, time_zone: str = "UTC") -> Schedule:
        """Five cron fields or an @alias, in an IANA zone.

        Raises `InvalidValue` naming `schedule.cron` or `schedule.time_zone`, with the reason.
        """
        for field, what, text, most in (
            ("schedule.cron", "schedule", expression, limits.CRON),
            ("schedule.time_zone", "time zone's name", time_zone, limits.TIME_ZONE),
        ):
            if len(text) > most:
                raise InvalidValue(field, f"A {what} has at most {most} characters, not {len(text):,}.")
        return _parse(expression, time_zone)

    def next_after(self, at: datetime) -> datetime:
        """The first time due strictly after `at`."""
        return self._next(_naive_utc(at)).replace(tzinfo=UTC)

    def fires_between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield all times t with `after` < t <= `until`, ascending."""
        last = _naive_utc(until)
        fire = self._next(_naive_utc(after))
        while fire <= last:
            yield fire.replace(tzinfo=UTC)
            fire = self._next(fire)

    def previous_or_at(self, at: datetime) -> datetime:
        """The newest time due at or before `at`."""
        until = _naive_utc(at)
        back = 2 * _MINUTE
        # Ever longer looks back, so that the first with a hit has few.
        while (fire := self._next(until - back)) > until:
            back = min(4 * back, _LONGEST_WAIT)
        while (following := self._next(fire)) <= until:
            fire = following
        return fire.replace(tzinfo=UTC)

    def upcoming(self, from_: datetime, count: int) -> list[Fire]:
        """The next `count` times after `from_`, with notes on clock changes."""
        found: list[Fire] = []
        previous = _naive_utc(from_)
        for _ in range(count):
            fire = self._next(previous)
            at = fire.replace(tzinfo=UTC)
            found.append(Fire(at, at.astimezone(load_zone(self.time_zone)), self._note(previous, fire)))
            previous = fire
        return found

    def describe(self) -> str:
        """A plain sentence part, such as `at 02:30 on weekdays (Europe/Berlin)`."""
        return describe(self.fields, self.time_zone)

    def _next(self, after: datetime) -> datetime:
        """`next_after` on naive UTC."""
        year = after.year
        while True:
            for period in periods(self.time_zone, year):
                if period.end > after and (fire := self._first_in(period, after)):
                    return fire
            year += 1
            after = new_year(year) - _SECOND

    def _first_in(self, period: Period, after: datetime) -> datetime | None:
        if period.start > after:
            if self.fields.fixed and self._skipped_before(period):
                return period.start
            earliest = _whole_minute_from(period.wall_start)
        else:
            earliest = (after + period.offset).replace(second=0, microsecond=0) + _MINUTE
        if self.fields.fixed and earliest < period.seen_until:
            earliest = _whole_minute_from(period.seen_until)
        wall = self.pattern.first_from(earliest)
        return wall - period.offset if wall < period.wall_end else None

    def _skipped_before(self, period: Period) -> datetime | None:
        """The first matching wall time that the step into `period` jumped over, days left out as a whole
        aside.
        """
        gap_start, gap_end = period.seen_until, period.wall_start
        if gap_start >= gap_end:
            return None
        wall = self.pattern.first_from(_whole_minute_from(gap_start))
        while wall < gap_end:
            midnight = wall.replace(hour=0, minute=0)
            if midnight < gap_start or midnight + _DAY > gap_end:
                return wall
            wall = self.pattern.first_from(midnight + _DAY)
        return None

    def _note(self, previous: datetime, fire: datetime) -> str | None:
        """Return what a clock change between `previous` and `fire`, or soon after it, means for `fire`."""
        near = periods(self.time_zone, fire.year)
        number = next(n for n, period in enumerate(near) if period.start <= fire < period.end)
        period = near[number]
        wall = fire + period.offset
        if not self.fields.fixed:
            step = period.wall_start - period.seen_until
            if previous >= period.start or not step:
                return None
            return f"clocks went {'forward' if step > _NOTHING else 'back'} by {_span(abs(step))} before this"
        if fire == period.start and (skipped := self._skipped_before(period)):
            return (
                f"{skipped:%H:%M} does not exist on this day as clocks go forward; runs right after the gap"
            )
        if number + 1 < len(near) and near[number + 1].wall_start <= wall < near[number + 1].seen_until:
            return f"{wall:%H:%M} comes twice on this day as clocks go back; runs the first time only"
        return None


@lru_cache(maxsize=16384)
def _parse(expression: str, time_zone: str) -> Schedule:
    fields = parse_fields(expression)
    load_zone(time_zone)
    return Schedule(" ".join(expression.split()), time_zone, fields, Pattern.of(fields))


def _naive_utc(at: datetime) -> datetime:
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise InvalidValue(
            "at", f"Schedules are known for the years {_FIRST_YEAR} to {_LAST_YEAR}, not for {at.year}."
        )
    return at.astimezone(UTC).replace(tzinfo=None)


def _whole_minute_from(wall: datetime) -> datetime:
    whole = wall.replace(second=0, microsecond=0)
    return whole if whole == wall else whole + _MINUTE


def _span(step: timedelta) -> str:
    hours, minutes = divmod(step // _MINUTE, 60)
    return " ".join([f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0))
