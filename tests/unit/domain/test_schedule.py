from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import assume, example, given
from hypothesis import strategies as st

from app.domain.errors import InvalidValue
from app.domain.schedule import ALIASES, Schedule
from tests.support.schedules import expressions

instants = st.integers(1, 150 * 366 * 86_400).map(
    lambda seconds: utc("1971-01-01") + timedelta(seconds=seconds)
)
spans = st.timedeltas(timedelta(0), timedelta(days=1))
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Kathmandu"]
)


def schedule_or_skip(expression: str, time_zone: str = "UTC") -> Schedule:
    try:
        return Schedule.parse(expression, time_zone)
    except InvalidValue as refused:
        assume("never comes" not in str(refused))
        raise


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(expression=expressions, at=instants)
@example(expression="0 0 29 2 *", at=utc("2096-03-01"))
def test_in_utc_it_agrees_with_croniter(expression: str, at: datetime) -> None:
    schedule = schedule_or_skip(expression)
    # croniter takes a list of all days for `*`, `*/1` for such a list, and `5-5` for the whole cycle.
    assume(not re.search(r"\b(\d+)-\1\b|\*/1\b", expression))
    fields = schedule.fields
    assume(not fields.either_day or (len(fields.weekdays) < 7 and len(fields.days) < 31))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = croniter(expression, at, ret_type=datetime, max_years_between_matches=9)
        expected = [reference.get_next() for _ in range(4)]
    assert list(islice(schedule.fires_between(at, utc("2200-01-01")), 4)) == expected


@given(expression=expressions, time_zone=zones, at=instants)
def test_next_is_later_and_previous_finds_it_again(expression: str, time_zone: str, at: datetime) -> None:
    schedule = schedule_or_skip(expression, time_zone)
    first = schedule.next_after(at)
    second = schedule.next_after(first)
    assert at < first < second
    assert schedule.previous_or_at(first) == first
    assert schedule.previous_or_at(second - timedelta(microseconds=1)) == first
    assert schedule.next_after(first - timedelta(microseconds=1)) == first


@given(expression=expressions, time_zone=zones, start=instants, first=spans, second=spans)
def test_windows_can_be_cut_anywhere(
    expression: str, time_zone: str, start: datetime, first: timedelta, second: timedelta
) -> None:
    schedule = schedule_or_skip(expression, time_zone)
    middle, end = start + first, start + first + second
    whole = list(schedule.fires_between(start, end))
    parts = [*schedule.fires_between(start, middle), *schedule.fires_between(middle, end)]
    assert parts == whole
    assert all(before < after for before, after in pairwise(whole))


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "exactly five fields"),
        ("* * * *", "exactly five fields"),
        ("0 * * * * *", "without seconds"),
        ("R * * * *", "random"),
        ("H 0 * * *", "random"),
        ("R(0-5) 0 * * *", "random"),
        ("60 * * * *", "out of range; it goes from 0 to 59"),
        ("* 24 * * *", "out of range"),
        ("* * 0 * *", "out of range"),
        ("* * 32 * *", "out of range"),
        ("* * * 13 *", "out of range"),
        ("* * * * 8", "out of range"),
        ("0-60 * * * *", "out of range"),
        ("5-1 * * * *", "backwards"),
        ("* * * * fri-mon", "backwards"),
        ("* * * dec-jan *", "backwards"),
        ("*/0 * * * *", "step 0"),
        ("*/60 * * * *", "step 60"),
        ("-1 * * * *", "can't be read"),
        ("1.5 * * * *", "can't be read"),
        ("1,,2 * * * *", "can't be read"),
        ("mon * * * *", "can't be read"),
        ("* * * mon *", "can't be read"),
        ("* * L * *", "can't be read"),
        ("* * ? * *", "can't be read"),
        ("* * 15W * *", "can't be read"),
        ("* * * * fri#2", "can't be read"),
        ("٣ * * * *", "can't be read"),
        ("@reboot", "@hourly"),
        ("@every 5m", "@hourly"),
        ("TZ=UTC 0 0 * * *", "schedule.time_zone"),
        ("CRON_TZ=Europe/Berlin 0 0 * * *", "schedule.time_zone"),
        ("0 0 31 2 *", "never comes"),
        ("0 0 30,31 feb *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
    ],
)
def test_what_is_unclear_is_refused_with_the_reason(expression: str, reason: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Schedule.parse(expression)
    assert refused.value.field == "schedule.cron"
    assert reason in str(refused.value)


@pytest.mark.parametrize("name", ["", "Local", "localtime", "europe/berlin", "posix/UTC", "../UTC", "+01:00"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match="time zone") as refused:
        Schedule.parse("@daily", name)
    assert refused.value.field == "schedule.time_zone"


def test_a_misspelt_zone_gets_a_hint() -> None:
    with pytest.raises(InvalidValue, match="did you mean Europe/Berlin"):
        Schedule.parse("@daily", "europe/Berln")


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        (" 0  0 * * SUN ", "0 0 * * 0"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * Mon-Fri", "0 0 * * 1-5"),
        ("0 0 * JAN,mar-may *", "0 0 * 1,3,4,5 *"),
        ("5-5 * * * *", "5 * * * *"),
        ("0 0 * jan-jan *", "0 0 * 1 *"),
        ("50/20 * * * *", "50 * * * *"),
        ("0/15 * * * *", "0,15,30,45 * * * *"),
        ("0 0 * * 0-7", "0 0 * * *"),
        ("05 08 * * *", "5 8 * * *"),
        *ALIASES.items(),
    ],
)
def test_two_ways_to_say_the_same(expression: str, same: str) -> None:
    start, end = utc("2024-01-01"), utc("2025-02-01")
    fires = list(Schedule.parse(expression).fires_between(start, end))
    assert fires == list(Schedule.parse(same).fires_between(start, end))
    assert fires


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 0 13 * 5", [6, 13, 20, 27]),  # Fridays, and the 13th (which is one)
        ("0 0 14 * 5", [6, 13, 14, 20, 27]),
        ("0 0 14 * */1", [14]),  # which is `*`
        ("0 0 */10 * 5", [1, 6, 11, 13, 20, 21, 27, 31]),  # */10 is set as well
        ("0 0 * * 5", [6, 13, 20, 27]),
        ("0 0 14 * *", [14]),
    ],
)
def test_day_of_month_and_day_of_week_both_set_match_either(expression: str, days: list[int]) -> None:
    fires = Schedule.parse(expression).fires_between(utc("2026-02-28T23:59"), utc("2026-03-31T23:59"))
    assert [fire.day for fire in fires] == days


def test_leap_days_come_even_over_a_century_without_one() -> None:
    schedule = Schedule.parse("0 0 29 2 *", "Europe/Berlin")
    local = [fire.local.date().isoformat() for fire in schedule.upcoming(utc("2095-01-01"), 3)]
    assert local == ["2096-02-29", "2104-02-29", "2108-02-29"]
    assert schedule.previous_or_at(utc("2104-02-28")) == utc("2096-02-28T23:00")


def test_times_come_and_go_in_any_zone_and_are_handed_out_in_utc() -> None:
    schedule = Schedule.parse("30 9 * * *", "Asia/Kathmandu")
    asked = datetime(2026, 6, 1, 12, tzinfo=ZoneInfo("America/New_York"))
    fire = schedule.next_after(asked)
    assert fire == utc("2026-06-02T03:45")
    assert fire.tzinfo is UTC


def test_an_instant_out_of_reach_is_refused() -> None:
    with pytest.raises(InvalidValue, match="1970"):
        Schedule.parse("@daily").next_after(utc("1800-01-01"))
    with pytest.raises(InvalidValue, match="9999"):
        Schedule.parse("@daily").upcoming(utc("9999-12-31"), 1)


@pytest.mark.parametrize(
    ("expression", "time_zone", "words"),
    [
        ("* * * * *", "UTC", "every minute"),
        ("*/5 * * * *", "Europe/Berlin", "every 5 minutes"),
        ("@hourly", "UTC", "every hour"),
        ("5,35 * * * *", "UTC", "at minutes 5 and 35 of every hour"),
        ("*/25 * * * *", "UTC", "at minutes 0, 25 and 50 of every hour"),
        ("0 */2 * * *", "UTC", "every 2 hours (UTC)"),
        ("30 2 * * 1-5", "Europe/Berlin", "at 02:30 on weekdays (Europe/Berlin)"),
        ("0 9,17 * * *", "UTC", "at 09:00 and 17:00 every day (UTC)"),
        ("0 8-18 * * sat,sun", "UTC", "every hour from 08:00 to 18:00 on weekends (UTC)"),
        ("*/10 9-16 * * *", "UTC", "every 10 minutes from 09:00 to 16:59 (UTC)"),
        ("*/20 8,9,20 * * *", "UTC", "every 20 minutes of hours 8, 9 and 20 (UTC)"),
        ("0 0 13 * 5", "UTC", "at 00:00 on day 13 of the month or on Fridays (UTC)"),
        ("0 0 1-5,15 1,7 *", "UTC", "at 00:00 on days 1 to 5 and 15 of the month in January and July (UTC)"),
    ],
)
def test_a_schedule_in_words(expression: str, time_zone: str, words: str) -> None:
    assert Schedule.parse(expression, time_zone).describe() == words


@given(expressions)
def test_every_schedule_has_words(expression: str) -> None:
    assert schedule_or_skip(expression).describe()


@given(st.text(max_size=30) | st.text(alphabet="0123456789*/-, @LWRH#?jansu", max_size=30))
def test_any_other_text_is_refused_politely(text: str) -> None:
    try:
        schedule = Schedule.parse(text)
    except InvalidValue as error:
        refused = error.field == "schedule.cron"
        assert refused  # most texts are refused, some happen to be good
    else:
        assert schedule.next_after(utc("2026-01-01")) > utc("2026-01-01")
