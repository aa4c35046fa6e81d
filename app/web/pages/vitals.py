"""What a run's containers used and how they are: charts over time of all of them, and the results of health checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from app.domain.health import Answer, CheckStatus, Tally
from app.domain.job.checks import Check
from app.domain.metrics import Sample, thinned
from app.domain.plans import Plan
from app.runtime.telemetry import CheckRecord, Vitals
from app.web.pages import formatting
from app.web.pages.charts import Point, polyline

WIDTH, HEIGHT = 600, 56
POINTS = 400  # of all lines of a chart
FEWEST = 3  # samples: of less there is nothing to see
ANSWERS = 5
HUES = 6
COLOURS = {
    CheckStatus.PASSING: "succeeded",
    CheckStatus.FAILING: "failed",
    CheckStatus.WAITING: "queued",
}


@dataclass(frozen=True)
class Line:
    """What one instance used. `hue` is a number below `HUES`."""

    instance: int
    points: str
    peak: str

    @property
    def hue(self) -> int:
        return self.instance % HUES


@dataclass(frozen=True)
class Chart:
    """A line for each instance from `start` to `end`, over an axis from 0 to `top`; `limit_y` is the plan's."""

    name: str
    said: str
    top: str
    lines: Sequence[Line]
    limit_y: float | None
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Result:
    """How a check stands; `answers` are the last ones, newest first."""

    check: Check
    status: CheckStatus
    answers: Sequence[Answer]

    @property
    def colour(self) -> str:
        return COLOURS[self.status]


Series = Mapping[int, Sequence[Point]]  # by instance


def charts(instances: int, plan: Plan | None, vitals: Vitals) -> list[Chart]:
    """CPU, memory, network and processes of an attempt; none where there are too few samples."""
    samples = {
        instance: thinned(found, max(POINTS // instances, 2 * FEWEST))
        for instance in range(instances)
        if len(found := vitals.samples(instance)) >= FEWEST
    }
    if not samples:
        return []
    when = (
        min(of[0].at for of in samples.values()),
        max(of[-1].at for of in samples.values()),
    )
    cpus, memory = (plan.cpus, float(plan.memory_bytes)) if plan else (None, None)
    return [
        _chart("CPU", _series(samples, lambda each: each.cpu_cores), cpus, _cores, when),
        _chart("Memory", _series(samples, lambda each: each.memory_bytes), memory, _bytes, when),
        _chart(
            "Network",
            {each: list(_rates(of)) for each, of in samples.items()},
            None,
            _rate,
            when,
            least=1024.0,
        ),
        _chart("Processes", _series(samples, lambda each: each.processes), None, "{:.0f}".format, when),
    ]


def results(checks: Sequence[Check], vitals: Vitals, instance: int) -> list[Result]:
    """How the checks of one instance stand."""
    records = vitals.health(instance) if checks else {}
    found = []
    for check in checks:
        record = records.get(check.type, CheckRecord(Tally(), ()))
        found.append(Result(check, record.tally.status, record.answers[: -ANSWERS - 1 : -1]))
    return found


def now_used(vitals: Vitals, instance: int) -> str:
    """What an instance used last, in a few words; empty where nothing is known."""
    samples = vitals.samples(instance)
    return f"{_cores(samples[-1].cpu_cores)} · {_bytes(samples[-1].memory_bytes)}" if samples else ""


def _series(samples: Mapping[int, Sequence[Sample]], value: Callable[[Sample], float]) -> Series:
    return {instance: [(each.at, value(each)) for each in of] for instance, of in samples.items()}


def _rates(samples: Sequence[Sample]) -> Iterator[Point]:
    """What went over the network in both directions, in bytes a second, between each two samples."""
    for before, after in pairwise(samples):
        moved = after.network_rx_bytes - before.network_rx_bytes
        moved += after.network_tx_bytes - before.network_tx_bytes
        yield after.at, max(moved, 0) / max((after.at - before.at).total_seconds(), 0.001)


def _chart(
    name: str,
    series: Series,
    limit: float | None,
    say: Callable[[float], str],
    when: tuple[datetime, datetime],
    least: float = 1.0,
) -> Chart:
    """Always up to the limit where there is one, so that 4 of 512 MiB look like little.

    `least` is how far it reaches where nothing was used.
    """
    peaks = {instance: max(value for _, value in of) for instance, of in series.items()}
    most = max(peaks.values())
    top = max(most, limit or 0.0) or least
    start, end = when
    of_limit = "" if limit is None else f" of {say(limit)}"
    return Chart(
        name=name,
        said=f"peak {say(most)}{of_limit}",
        top=say(top),
        lines=[
            Line(
                instance,
                polyline(of, start=start, end=end, width=WIDTH, height=HEIGHT, top=top),
                say(peaks[instance]),
            )
            for instance, of in series.items()
        ],
        limit_y=None if limit is None else round(HEIGHT * (1 - limit / top), 1),
        start=start,
        end=end,
    )


def _cores(value: float) -> str:
    return f"{value:.2g} CPU"


def _bytes(value: float) -> str:
    return formatting.size(round(value))


def _rate(value: float) -> str:
    """In the unit that says something: most jobs move kilobytes."""
    mib = 1 << 20
    return f"{value / mib:.3g} MiB/s" if value >= mib else f"{value / 1024:.3g} KiB/s"
