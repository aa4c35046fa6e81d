"""Charts: values over time as the points of a line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from app.domain.metrics import Sample
from app.web.pages.charts import polyline

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def sample(second: float, cpu: float = 0.5, memory: int = 1000) -> Sample:
    return Sample(START + timedelta(seconds=second), cpu, memory, 0, 0, 1)


@st.composite
def stretches(draw: st.DrawFn) -> list[Sample]:
    seconds = accumulate(draw(st.lists(st.floats(0.5, 100), max_size=80)))
    return [sample(second, draw(st.floats(0, 4))) for second in seconds]


def test_a_line_goes_with_time_to_the_right_and_values_upwards() -> None:
    samples = [sample(0, 0.0), sample(10, 1.0), sample(40, 0.5)]
    points = polyline(samples, lambda each: each.cpu_cores, width=400, height=100)
    assert points == "0,100 100,0 400,50"


def test_a_line_is_drawn_against_a_limit() -> None:
    samples = [sample(0, memory=250), sample(1, memory=2000)]
    points = polyline(samples, lambda each: each.memory_bytes, width=10, height=100, top=1000)
    assert points == "0,75 10,0"


def test_a_line_of_nothing_and_of_one() -> None:
    assert polyline([], lambda each: each.cpu_cores, width=10, height=10) == ""
    assert polyline([sample(5, 0.0)], lambda each: each.cpu_cores, width=10, height=8) == "0,8 10,8"
    one = polyline([sample(5, 1.0)], lambda each: each.cpu_cores, width=10, height=8, top=2)
    assert one == "0,4 10,4"


@given(stretches(), st.floats(1, 1000), st.floats(1, 1000))
def test_a_line_stays_within_its_box(samples: list[Sample], width: float, height: float) -> None:
    points = polyline(samples, lambda each: each.cpu_cores, width=width, height=height, top=1)
    for point in points.split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= width + 0.1
        assert 0 <= y <= height + 0.1
