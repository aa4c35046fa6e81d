"""A schedule's week: single times while they are few, a band a day where they are many, whatever clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.schedule import Schedule
from app.domain.week import DAYS, SPARSE, changes_between, midnights, week_of

INSTANT = timedelta(microseconds=1)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 10, 21, 15, 30, tzinfo=UTC)  # the clocks of Berlin go back on the 25th
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia")
CRONS = (
    *("* * * * *", "*/5 9-17 * * 1-5", "0 * * * *", "30 2 * * *", "0 0 * * *", "0 6,18 * * *", "15 3 1 * *"),
    *("0 */6 * * *", "0 */5 * * *", "59 23 * * 0", "30 1-3 * * *"),
)


def test_the_days_of_a_zone_begin_at_its_midnights() -> None:
    edges = midnights(NOW, "Europe/Berlin")
    assert edges[0] == datetime(2026, 10, 20, 22, tzinfo=UTC)
    lengths = [(later - earlier) // timedelta(hours=1) for earlier, later in pairwise(edges)]
    assert lengths == [24, 24, 24, 24, 25, 24, 24]
    assert midnights(NOW, "UTC")[0] == datetime(2026, 10, 21, tzinfo=UTC)


@given(
    st.sampled_from(CRONS),
    st.sampled_from(ZONES),
    st.sampled_from(ZONES),
    st.integers(0, 2 * 365 * 24 * 60).map(lambda minutes: NEW_YEAR + timedelta(minutes=minutes)),
)
@settings(max_examples=200, deadline=None)
def test_a_week_is_what_the_schedule_says(cron: str, zone: str, reader: str, now: datetime) -> None:
    edges = midnights(now, reader)
    assert len(edges) == DAYS + 1
    found = week_of(cron, zone, edges)
    due = list(Schedule.parse(cron, zone).fires_between(edges[0] - INSTANT, edges[-1] - INSTANT))
    if len(due) <= SPARSE:
        assert [fire.at for fire in found.fires] == due
        assert not found.bands
        return
    assert not found.fires
    for band, (begin, end) in zip(found.bands, pairwise(edges), strict=True):
        on_day = [at for at in due if begin <= at < end]
        assert (band and (band.first, band.last)) == ((on_day[0], on_day[-1]) if on_day else None)


def test_what_a_clock_change_does_to_a_time_is_told() -> None:
    fires = week_of("30 2 * * *", "Europe/Berlin", midnights(NOW, "UTC")).fires
    said = {fire.local.day: fire.note for fire in fires if fire.note}
    assert said == {25: "02:30 comes twice on this day as clocks go back; runs the first time only"}
    assert all(fire.note is None for fire in week_of("30 2 * * *", "UTC", midnights(NOW, "UTC")).fires)


@pytest.mark.parametrize(
    ("zone", "hours"), [("Europe/Berlin", -1), ("UTC", 0), ("Asia/Kolkata", 0), ("Australia/Lord_Howe", 0)]
)
def test_by_how_much_clocks_are_set(zone: str, hours: int) -> None:
    edges = midnights(NOW, zone)
    assert changes_between(zone, edges[0], edges[-1]) == timedelta(hours=hours)
