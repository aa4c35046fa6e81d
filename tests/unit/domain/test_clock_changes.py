from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain.schedule import Schedule
from app.domain.schedule.zones import periods
from tests.support.schedules import expressions, fires_by_definition, fixed_times

ZONES = sorted(available_timezones() - {"localtime", "posixrules", "Factory"})
YEARS = (2026,)

CHANGES = [  # a zone and an instant at which its clocks change
    ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),
    ("Antarctica/Troll", "2026-03-29T01:00"),
    ("Antarctica/Troll", "2026-10-25T01:00"),
    ("America/Santiago", "2026-09-06T04:00"),
    ("America/Santiago", "2026-04-05T03:00"),
    ("Africa/Cairo", "2026-04-23T22:00"),
    ("America/Scoresbysund", "2026-03-29T01:00"),
    ("Pacific/Apia", "2011-12-30T10:00"),
    ("Asia/Pyongyang", "2015-08-14T15:00"),
    ("Europe/Dublin", "2026-10-25T01:00"),
    ("Antarctica/Casey", "2018-03-10T17:00"),
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("time_zone", "expression", "after", "local"),
    [
        # Spring: what is skipped runs once, right after the gap; what is not is as always.
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", ["29T03:00+02:00", "30T02:30+02:00"]),
        ("Europe/Berlin", "0,20,40 2 * * *", "2026-03-28T12:00", ["29T03:00+02:00", "30T02:00+02:00"]),
        ("Europe/Berlin", "0 2,3 * * *", "2026-03-28T12:00", ["29T03:00+02:00", "30T02:00+02:00"]),
        ("Europe/Berlin", "0 12 * * *", "2026-03-28T12:00", ["29T12:00+02:00", "30T12:00+02:00"]),
        ("Europe/Berlin", "*/30 * * * *", "2026-03-29T00:00", ["29T01:30+01:00", "29T03:00+02:00"]),
        ("Europe/Berlin", "*/30 2 * * *", "2026-03-28T12:00", ["30T02:00+02:00", "30T02:30+02:00"]),
        ("Europe/Berlin", "30 * * * *", "2026-03-29T00:00", ["29T01:30+01:00", "29T03:30+02:00"]),
        ("Europe/Berlin", "30 2 29 3 *", "2026-03-28T12:00", ["29T03:00+02:00"]),
        ("America/New_York", "30 2 * * sun", "2026-03-07T12:00", ["08T03:00-04:00", "15T02:30-04:00"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00", ["04T02:30+11:00", "05T02:15+11:00"]),
        ("Antarctica/Troll", "59 2 * * *", "2026-03-28T12:00", ["29T03:00+02:00", "30T02:59+02:00"]),
        ("America/Santiago", "0 0 * * *", "2026-09-05T12:00", ["06T01:00-03:00", "07T00:00-03:00"]),
        ("America/Santiago", "@daily", "2026-09-05T12:00", ["06T01:00-03:00", "07T00:00-03:00"]),
        # Autumn: what comes twice runs the first time; wildcards follow elapsed time.
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", ["25T02:30+02:00", "26T02:30+01:00"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T00:45", ["26T02:30+01:00"]),
        ("Europe/Berlin", "0 3 * * *", "2026-10-24T12:00", ["25T03:00+01:00", "26T03:00+01:00"]),
        ("Europe/Berlin", "0 * * * *", "2026-10-24T23:30", ["25T02:00+02:00", "25T02:00+01:00"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00", ["05T01:45+11:00", "06T01:45+10:30"]),
        ("Antarctica/Troll", "30 1 * * *", "2026-10-24T12:00", ["25T01:30+02:00", "26T01:30+00:00"]),
        ("America/Santiago", "30 23 * * *", "2026-04-04T12:00", ["04T23:30-03:00", "05T23:30-04:00"]),
        # A whole day left out is not made up for.
        ("Pacific/Apia", "0 12 * * *", "2011-12-29T12:00", ["29T12:00-10:00", "31T12:00+14:00"]),
        ("Pacific/Apia", "0 0 30 12 *", "2011-12-01T00:00", ["30T00:00+14:00"]),
    ],
)  # fmt: skip
def test_days_on_which_clocks_change(time_zone: str, expression: str, after: str, local: list[str]) -> None:
    fires = Schedule.parse(expression, time_zone).upcoming(utc(after), len(local))
    assert [fire.local.isoformat(timespec="minutes")[8:] for fire in fires] == local
    assert all(fire.local.astimezone(UTC) == fire.at for fire in fires)


@settings(max_examples=40)
@given(
    expression=expressions.filter(lambda text: text.split()[2:] == ["*", "*", "*"]) | fixed_times,
    change=st.sampled_from(CHANGES),
    lead=st.integers(0, 8 * 60),
)
@example("1 0,*/1 * * *", ("Europe/Berlin", "2026-03-29T01:00"), 1)
def test_around_changes_it_is_the_definition(expression: str, change: tuple[str, str], lead: int) -> None:
    time_zone, instant = change
    start = utc(instant) - timedelta(minutes=lead)
    end = utc(instant) + timedelta(hours=8)
    expected = list(fires_by_definition(expression, ZoneInfo(time_zone), start, end))
    assert list(Schedule.parse(expression, time_zone).fires_between(start, end)) == expected


def _changes() -> dict[tuple[datetime, timedelta, timedelta], str]:
    """All changes in `YEARS` with the offsets around them, and for each one zone that has it."""
    found: dict[tuple[datetime, timedelta, timedelta], str] = {}
    for zone in ZONES:
        for year in YEARS:
            for before, after in pairwise(periods(zone, year)):
                found.setdefault((after.start, before.offset, after.offset), zone)
    return found


def test_in_every_zone_a_daily_job_runs_once_on_every_day_there_is() -> None:
    changes = _changes()
    assert len(changes) > 40
    for (change, before, after), zone in changes.items():
        middle = change.replace(tzinfo=UTC)
        hours = (middle + timedelta(hours=n) for n in range(-48, 48))
        whole_days = sorted({hour.astimezone(ZoneInfo(zone)).date() for hour in hours})[1:-1]
        first, last = change + min(before, after), change + max(before, after)
        for wall in (first, first + (last - first) / 2, last - timedelta(minutes=1), last):
            schedule = Schedule.parse(f"{wall.minute} {wall.hour} * * *", zone)
            fires = schedule.fires_between(middle - timedelta(days=4), middle + timedelta(days=4))
            local = [fire.astimezone(ZoneInfo(zone)) for fire in fires]
            # What ran at another time of day made up for `wall`, maybe past midnight (Nuuk, 23:00 to 00:00).
            days = Counter(at.date() if at.time() == wall.time() else wall.date() for at in local)
            assert [days[day] for day in whole_days] == [1] * len(whole_days), (zone, change, wall)


def test_upcoming_times_carry_a_note_where_clocks_change() -> None:
    def notes(expression: str, after: str) -> list[str | None]:
        return [fire.note for fire in Schedule.parse(expression, "Europe/Berlin").upcoming(utc(after), 3)]

    skipped = "02:30 does not exist on this day as clocks go forward; runs right after the gap"
    twice = "02:30 comes twice on this day as clocks go back; runs the first time only"
    assert notes("30 2 * * *", "2026-03-28T00:00") == [None, skipped, None]
    assert notes("30 2 * * *", "2026-10-24T00:00") == [None, twice, None]
    assert notes("0 3 * * *", "2026-03-28T00:00") == [None, None, None]
    assert notes("*/30 * * * *", "2026-03-29T00:00") == [None, "clocks went forward by 1 h before this", None]
    assert notes("0 * * * *", "2026-10-24T23:30") == [None, "clocks went back by 1 h before this", None]
    lord_howe = Schedule.parse("*/30 * * * *", "Australia/Lord_Howe").upcoming(utc("2026-10-03T15:00"), 1)
    assert lord_howe[0].note == "clocks went forward by 30 min before this"
