"""Charts: values over time as the points of a line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from app.web.pages.charts import Point, polyline

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def point(second: float, value: float) -> Point:
    return START + timedelta(seconds=second), value


def line(
    *points: Point, seconds: float = 40, width: float = 400, height: float = 100, top: float = 1.0
) -> str:
    end = START + timedelta(seconds=seconds)
    return polyline(points, start=START, end=end, width=width, height=height, top=top)


@st.composite
def stretches(draw: st.DrawFn) -> list[Point]:
    seconds = accumulate(draw(st.lists(st.floats(0.5, 100), max_size=80)))
    return [point(second, draw(st.floats(0, 4))) for second in seconds]


def test_a_line_goes_with_time_to_the_right_and_values_upwards() -> None:
    assert line(point(0, 0.0), point(10, 1.0), point(40, 0.5)) == "0,100 100,0 400,50"


def test_lines_of_several_share_the_time_of_all() -> None:
    assert line(point(10, 0.0), point(20, 1.0)) == "100,100 200,0"


def test_a_line_is_drawn_against_a_limit() -> None:
    assert line(point(0, 250), point(1, 2000), seconds=1, width=10, top=1000) == "0,75 10,0"


def test_a_line_of_nothing_and_of_one() -> None:
    assert line() == ""
    assert line(point(0, 0.0), seconds=0, width=10, height=8) == "0,8 10,8"
    assert line(point(0, 1.0), seconds=0, width=10, height=8, top=2) == "0,4 10,4"


@given(stretches(), st.floats(1, 1000), st.floats(1, 1000))
def test_a_line_stays_within_its_box(points: list[Point], width: float, height: float) -> None:
    drawn = line(*points, width=width, height=height)
    for each in drawn.split():
        x, y = map(float, each.split(","))
        assert 0 <= x <= width + 0.1
        assert 0 <= y <= height + 0.1
