"""A schedule in words."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from typing import Final

from app.domain.schedule.fields import CronFields

_MANY: Final = 6  # more times of day than this are not listed one by one
_WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_WEEK: Final = (1, 2, 3, 4, 5)
_WEEKEND: Final = (0, 6)


def describe(fields: CronFields, time_zone: str) -> str:
    """Such as `every 5 minutes` or `at 02:30 on weekdays (Europe/Berlin)`; the zone only where it matters."""
    time, days = _time(fields), _days(fields)
    if len(fields.hours) == 24 and not days:
        return time
    at_times = time.startswith("at ") and not days and len(fields.hours) < 24
    return " ".join(part for part in (time, days or "every day" * at_times, f"({time_zone})") if part)


def _time(fields: CronFields) -> str:
    minutes, hours = fields.minutes, fields.hours
    if len(hours) < 24 and len(hours) * len(minutes) <= _MANY:
        return "at " + _list([f"{hour:02}:{minute:02}" for hour in hours for minute in minutes])
    if minutes == (0,) and (every_hours := _every(hours, 24, "hour")):
        return every_hours
    when = _every(minutes, 60, "minute") or f"at {_counted('minute', minutes)} of every hour"
    if len(hours) == 24:
        return when
    first, last = hours[0], hours[-1]
    if len(hours) <= last - first:
        return f"{when.removesuffix(' of every hour')} of {_counted('hour', hours)}"
    if len(minutes) == 1:
        return f"every hour from {first:02}:{minutes[0]:02} to {last:02}:{minutes[0]:02}"
    return f"{when} from {first:02}:00 to {last:02}:59"


def _days(fields: CronFields) -> str:
    parts = []
    if not fields.any_day:
        parts.append(f"on {_counted('day', fields.days)} of the month")
    if not fields.any_weekday:
        parts.append("on " + _weekdays(fields.weekdays))
    months = (
        "" if len(fields.months) == 12 else "in " + _list([calendar.month_name[n] for n in fields.months])
    )
    return " ".join(part for part in (" or ".join(parts), months) if part)


def _weekdays(weekdays: tuple[int, ...]) -> str:
    named = {_WEEK: "weekdays", _WEEKEND: "weekends", tuple(range(7)): "every day of the week"}
    return named.get(weekdays) or _list([f"{_WEEKDAYS[n]}s" for n in weekdays])


def _every(values: Sequence[int], whole: int, unit: str) -> str | None:
    """`every 5 minutes` if the values come round evenly, starting with 0."""
    step = whole // len(values)
    if list(values) != list(range(0, whole, step)) or whole % step or len(values) == 1:
        return None
    return f"every {unit}" if step == 1 else f"every {step} {unit}s"


def _counted(unit: str, values: Sequence[int]) -> str:
    return f"{unit}{'s' if len(values) > 1 else ''} {_list(_ranges(values))}"


def _ranges(values: Sequence[int]) -> list[str]:
    """`1, 2, 3, 7` as `1 to 3` and `7`."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return [
        item
        for run in runs
        for item in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else [str(value) for value in run])
    ]


def _list(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
