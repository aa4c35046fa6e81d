"""A pace is kept whoever comes when, and holds nobody for longer than it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.runtime.pace import Pace

GAPS = st.lists(st.floats(0, 3), min_size=1, max_size=60)


def test_the_first_few_do_not_wait_nor_do_those_after_a_rest() -> None:
    pace = Pace(a_second=2, at_once=3, longest=10)
    assert [pace.wait(100.0) for _ in range(5)] == [0, 0, 0, 0.5, 1]
    assert [pace.wait(200.0) for _ in range(4)] == [0, 0, 0, 0.5]


@given(GAPS)
def test_no_more_leave_in_any_time_than_the_pace_allows(gaps: list[float]) -> None:
    pace, now, left = Pace(a_second=4, at_once=2, longest=float("inf")), 0.0, []
    for gap in gaps:
        now += gap
        wait = pace.wait(now)
        assert wait >= 0
        left.append(now + wait)
    assert left == sorted(left)
    for first in range(len(left)):
        for last in range(first, len(left)):
            assert last - first + 1 <= 4 * (left[last] - left[first]) + 2 + 1 + 1e-6


@given(GAPS)
def test_nobody_waits_longer_than_is_said(gaps: list[float]) -> None:
    pace, now = Pace(a_second=1, at_once=1, longest=5), 0.0
    for gap in gaps:
        now += gap / 10
        assert pace.wait(now) <= 5
    assert pace.wait(now + 7) == 0
