"""Samples: thinned without losing the shape."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.domain.metrics import Sample, thinned

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def sample(second: float, cpu: float = 0.5, memory: int = 1000, counter: int = 0) -> Sample:
    return Sample(START + timedelta(seconds=second), cpu, memory, counter, 2 * counter, 1)


@st.composite
def stretches(draw: st.DrawFn) -> list[Sample]:
    gaps = draw(st.lists(st.floats(0.5, 100), max_size=80))
    second, samples = 0.0, []
    for number, gap in enumerate(gaps):
        samples.append(sample(second, draw(st.floats(0, 4)), draw(st.integers(0, 10**9)), number))
        second += gap
    return samples


class TestThinning:
    @given(stretches(), st.integers(2, 40))
    def test_few_over_the_same_time_with_the_same_peaks(self, samples: list[Sample], limit: int) -> None:
        kept = thinned(samples, limit)
        if len(samples) <= limit:
            assert kept == samples
            return
        assert len(kept) <= limit // 2 + 1
        assert kept[0].at == samples[0].at
        assert [each.at for each in kept] == sorted({each.at for each in kept})
        assert max(each.memory_bytes for each in kept) == max(each.memory_bytes for each in samples)
        assert kept[-1].network_rx_bytes == samples[-1].network_rx_bytes
        assert min(s.cpu_cores for s in samples) <= min(s.cpu_cores for s in kept)
        assert max(s.cpu_cores for s in kept) <= max(s.cpu_cores for s in samples)

    @given(st.integers(1, 700))
    def test_a_long_run_stays_few_and_even(self, count: int) -> None:
        kept: list[Sample] = []
        for number in range(count):
            kept = thinned([*kept, sample(2 * number)], 100)
        assert len(kept) <= 100
        if count > 200:
            gaps = [later.at - earlier.at for earlier, later in pairwise(kept[:20])]
            assert len(set(gaps)) == 1, "old samples are as far apart as one another"

    def test_merges_neighbours(self) -> None:
        samples = [sample(0, 0.0, 10, 1), sample(2, 1.0, 30, 2), sample(4, 0.5, 20, 3), sample(6, 0.5, 10, 4)]
        assert thinned(samples, 3) == [sample(0, 0.5, 30, 2), sample(4, 0.5, 20, 4)]
