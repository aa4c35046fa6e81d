"""A cron expression, checked strictly and expanded into the values of its five fields.

croniter does the expanding, from a normalised text that leaves it nothing to interpret: alone it accepts
reversed ranges, seconds and random values, and reads `5-5` as the whole cycle.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

from app.domain.errors import InvalidValue

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS: Final = dict(
    zip(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
        range(1, 13),
        strict=True,
    )
)
_DAYS: Final = dict(zip(["sun", "mon", "tue", "wed", "thu", "fri", "sat"], range(7), strict=True))
_LONGEST: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ITEM: Final = re.compile(r"(?:\*|([0-9]{1,4}|[a-z]{3})(?:-([0-9]{1,4}|[a-z]{3}))?)(?:/([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class CronFields:
    """The values each field allows, ascending; Sunday is 0."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    any_day: bool
    """Day of month is `*` (or `*/1`)."""
    any_weekday: bool
    """Day of week is `*` (or `*/1`)."""
    fixed: bool
    """Neither minute nor hour begins with `*`: what Vixie cron runs once whatever the clock does."""

    @property
    def either_day(self) -> bool:
        """Both day fields are set, so that a day which satisfies either matches.

        `*/2` counts as set, as in Kubernetes and croniter; Vixie cron would want both to match.
        """
        return not self.any_day and not self.any_weekday


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    lowest: int
    highest: int
    names: Mapping[str, int] = field(default_factory=dict)

    def normalise(self, text: str) -> str:
        """`text` with only `*`, numbers, true ranges and steps above one; or `InvalidValue`."""
        items = [self._normalise_item(item) for item in text.split(",")]
        return "*" if "*" in items else ",".join(items)

    def expand(self, values: Sequence[int | str]) -> tuple[int, ...]:
        """croniter's list of values, in full and ascending."""
        everything = range(self.lowest, self._last + 1)
        return tuple(everything) if values == ["*"] else tuple(sorted({int(value) for value in values}))

    @property
    def _last(self) -> int:
        return 6 if self.names is _DAYS else self.highest  # 7 is another name for Sunday

    def _normalise_item(self, item: str) -> str:
        found = _ITEM.fullmatch(item.lower())
        if found is None:
            self._refuse(item)
        first, last, step = found.groups()
        if step is not None and not 1 <= int(step) <= self.highest:
            _refuse(f"The {self.name} '{item}' has the step {step}; it must be 1 to {self.highest}.")
        by = "" if step is None or int(step) == 1 else f"/{int(step)}"
        if first is None:
            return f"*{by}"
        start = self._value(first, item)
        if last is None and step is None:
            return str(start)
        end = max(start, self._last) if last is None else self._value(last, item)
        if start > end:
            _refuse(f"The {self.name} range '{item}' runs backwards; write it as two ranges or as a list.")
        return str(start) if start == end else f"{start}-{end}{by}"

    def _value(self, text: str, item: str) -> int:
        value = self.names.get(text) if text.isalpha() else int(text)
        if value is None:
            self._refuse(item)
        if not self.lowest <= value <= self.highest:
            _refuse(
                f"The {self.name} '{item}' is out of range; it goes from {self.lowest} to {self.highest}."
            )
        return value

    def _refuse(self, item: str) -> NoReturn:
        if re.match(r"[hr]\b", item, re.IGNORECASE):
            _refuse(f"The {self.name} '{item}' asks for a random or hashed value; choose a number instead.")
        names = f", a name such as {next(iter(self.names))}" if self.names else ""
        _refuse(
            f"The {self.name} '{item}' can't be read; "
            f"use *, a number from {self.lowest} to {self.highest}{names}, "
            "a range a-b, a step */n, or a list of these separated by commas."
        )


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _DAYS),
)


def parse_fields(expression: str) -> CronFields:
    """The fields of `expression`; raises `InvalidValue("schedule.cron", …)` with the reason for anything
    unclear.
    """
    texts = _five_fields(expression.strip())
    normal = [field.normalise(text) for field, text in zip(_FIELDS, texts, strict=True)]
    from croniter import croniter  # here, as it brings dateutil along, and only jobs with a schedule need it

    expanded, _ = croniter.expand(" ".join(normal))
    minutes, hours, days, months, weekdays = (
        field.expand(values) for field, values in zip(_FIELDS, expanded, strict=True)
    )
    fields = CronFields(
        minutes,
        hours,
        days,
        months,
        weekdays,
        any_day=normal[2] == "*",
        any_weekday=normal[4] == "*",
        fixed=not any(text.startswith("*") for text in texts[:2]),  # `0,*` is fixed, as it is to Vixie cron
    )
    if fields.any_weekday and min(days) > max(_LONGEST[month - 1] for month in months):
        _refuse(f"'{expression.strip()}' never comes: no month it names has a day {min(days)}.")
    return fields


def _five_fields(text: str) -> list[str]:
    if text.startswith("@"):
        if text.lower() not in ALIASES:
            _refuse(f"'{text}' is not known; use five fields or one of {', '.join(ALIASES)}.")
        return ALIASES[text.lower()].split()
    if re.match(r"(cron_)?tz\s*=", text, re.IGNORECASE):
        _refuse("A time zone can't be part of the expression; set it as schedule.time_zone.")
    texts = text.split()
    if len(texts) != len(_FIELDS):
        seconds = ", without seconds or years" if len(texts) in (6, 7) else ""
        _refuse(
            f"A schedule has exactly five fields (minute, hour, day of month, month, day of week){seconds}; "
            f"'{text}' has {len(texts)}."
        )
    return texts


def _refuse(reason: str) -> NoReturn:
    raise InvalidValue("schedule.cron", reason)
