"""The search for matching wall times, with the values of each field as bits of one number."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from app.domain.schedule.fields import CronFields


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which wall times match; bit n of a field is set if it allows n."""

    minutes: int
    hours: int
    days: int
    months: int
    weekdays: int
    either_day: bool

    @staticmethod
    def of(fields: CronFields) -> Pattern:
        return Pattern(
            _bits(fields.minutes),
            _bits(fields.hours),
            _bits(fields.days),
            _bits(fields.months),
            _bits(fields.weekdays),
            fields.either_day,
        )

    def first_from(self, wall: datetime) -> datetime:
        """The first match at or after `wall`, which is naive and a whole minute."""
        year, month, day = wall.year, wall.month, wall.day
        if self.months >> month & 1:
            days = _days_of(self.days, self.weekdays, self.either_day, year, month)
            if days >> day & 1:
                hour, minute = wall.hour, wall.minute
                if self.hours >> hour & 1 and (minutes := self.minutes >> minute):
                    return wall.replace(minute=minute + _lowest(minutes))
                if hours := self.hours >> hour + 1:
                    return wall.replace(hour=hour + 1 + _lowest(hours), minute=_lowest(self.minutes))
            if later := days >> day + 1:
                return self._first_on(wall, year, month, day + 1 + _lowest(later))
        while True:
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
            if self.months >> month & 1:
                days = _days_of(self.days, self.weekdays, self.either_day, year, month)
                if days:
                    return self._first_on(wall, year, month, _lowest(days))

    def _first_on(self, wall: datetime, year: int, month: int, day: int) -> datetime:
        return wall.replace(year, month, day, _lowest(self.hours), _lowest(self.minutes))


@lru_cache(maxsize=16384)
def _days_of(days: int, weekdays: int, either: bool, year: int, month: int) -> int:
    """The matching days of one month, as bits."""
    first, length = monthrange(year, month)  # Monday is 0 there, Sunday is 0 in cron
    by_number = days & (2 << length) - 1
    by_weekday = _bits(day for day in range(1, length + 1) if weekdays >> (first + day) % 7 & 1)
    return by_number | by_weekday if either else by_number & by_weekday


def _bits(values: Iterable[int]) -> int:
    bits = 0
    for value in values:
        bits |= 1 << value
    return bits


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1
