"""What containers used over time: samples, kept few, and drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


@dataclass(frozen=True)
class Limits:
    """What the plan gives one container."""

    cpus: float
    memory_bytes: int


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


def polyline(
    samples: Sequence[Sample],
    value: Callable[[Sample], float],
    *,
    width: float,
    height: float,
    top: float | None = None,
) -> str:
    """The `points` of an SVG polyline: time from left to right over the whole width, 0 at the bottom.

    `top` is the value drawn at the upper edge, the greatest one unless given; greater ones are cut off there.
    Empty without samples; a single sample is a level line.
    """
    if not samples:
        return ""
    values = [value(sample) for sample in samples]
    most = top if top is not None else max(values)
    start, span = samples[0].at, samples[-1].at - samples[0].at

    def y(each: float) -> float:
        share = each / most if most > 0 else 0.0
        return height * (1 - min(max(share, 0.0), 1.0))

    if not span:
        return f"{_number(0)},{_number(y(values[-1]))} {_number(width)},{_number(y(values[-1]))}"
    return " ".join(
        f"{_number(width * ((sample.at - start) / span))},{_number(y(each))}"
        for sample, each in zip(samples, values, strict=True)
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
