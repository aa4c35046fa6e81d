"""Random cron expressions, and what they mean by definition: every minute looked at, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

MINUTE = timedelta(minutes=1)
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


@st.composite
def _item(draw: st.DrawFn, low: int, high: int) -> str:
    kind = draw(st.sampled_from(["value", "value", "range", "stepped range", "step", "from"]))
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    step = draw(st.integers(1, high))
    return {
        "value": f"{first}",
        "range": f"{first}-{last}",
        "stepped range": f"{first}-{last}/{step}",
        "step": f"*/{step}",
        "from": f"{first}/{step}",
    }[kind]


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    return st.just("*") | st.lists(_item(low, high), min_size=1, max_size=3).map(",".join)


expressions = st.tuples(*(_field(low, high) for low, high in BOUNDS)).map(" ".join)
fixed_times = st.tuples(
    *(st.lists(st.integers(low, high), min_size=1, max_size=3) for low, high in BOUNDS[:2])
).map(lambda lists: " ".join(",".join(map(str, values)) for values in lists) + " * * *")


def values_of(text: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for item in text.split(","):
        body, _, step = item.partition("/")
        first, _, last = body.partition("-")
        start = low if body == "*" else int(first)
        end = high if body == "*" or (step and not last) else int(last or first)
        found |= set(range(start, end + 1, int(step or 1)))
    return found


def matches(expression: str, wall: datetime) -> bool:
    texts = expression.split()
    now = (wall.minute, wall.hour, wall.day, wall.month, wall.isoweekday() % 7)
    minute, hour, day, month, weekday = (
        value in values_of(text, low, high)
        for text, value, (low, high) in zip(texts, now, BOUNDS, strict=True)
    )
    both_set = all(not {"*", "*/1"} & set(text.split(",")) for text in (texts[2], texts[4]))
    return minute and hour and month and (day or weekday if both_set else day and weekday)


def fires_by_definition(
    expression: str, zone: ZoneInfo, after: datetime, until: datetime
) -> Iterator[datetime]:
    """Minute by minute: a wildcard fires whenever the wall clock matches; a fixed time the first time the
    wall
    clock reaches it or has jumped over it, unless it jumped over the whole day."""
    minute_text, hour_text, *_ = expression.split()
    fixed = not minute_text.startswith("*") and not hour_text.startswith("*")
    instant = after.astimezone(UTC).replace(second=0, microsecond=0) - timedelta(hours=6)
    shown = instant.astimezone(zone).replace(tzinfo=None)
    furthest = shown
    while (instant := instant + MINUTE) <= until:
        wall = instant.astimezone(zone).replace(tzinfo=None)
        due = matches(expression, wall)
        if fixed:
            due = due and wall > furthest
            skipped = furthest + MINUTE
            while skipped < wall:
                whole_day = skipped.date() not in (furthest.date(), wall.date())
                due = due or (matches(expression, skipped) and not whole_day)
                skipped += MINUTE
            furthest = max(furthest, wall)
        if due and instant > after:
            yield instant
