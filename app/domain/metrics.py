"""What containers used over time: samples, kept few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from statistics import fmean

FINEST = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of a running container: CPU in cores since the last reading, the rest as it stands."""

    at: datetime
    cpu_cores: float
    memory_bytes: int
    network_rx_bytes: int
    network_tx_bytes: int
    processes: int


def thinned(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """The same stretch of time in at most half of `limit` samples (and one), evenly; `samples` by time.

    The grid is a power of two of seconds from the first sample on, so that thinning again what was thinned
    merges neighbours exactly: the resolution halves each time a run has lasted twice as long.
    """
    if len(samples) <= limit:
        return list(samples)
    first, step = samples[0].at, FINEST
    while (samples[-1].at - first) // step > limit // 2:
        step *= 2
    return [_merged(list(group)) for _, group in groupby(samples, lambda sample: (sample.at - first) // step)]


def _merged(samples: Sequence[Sample]) -> Sample:
    """CPU on average, memory and processes at their most, counters as they stood last."""
    return Sample(
        at=samples[0].at,
        cpu_cores=fmean(sample.cpu_cores for sample in samples),
        memory_bytes=max(sample.memory_bytes for sample in samples),
        network_rx_bytes=samples[-1].network_rx_bytes,
        network_tx_bytes=samples[-1].network_tx_bytes,
        processes=max(sample.processes for sample in samples),
    )
