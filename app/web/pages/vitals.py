"""What a run's containers used and how they were: charts of CPU and memory, and the results of health checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.health import Answer, CheckStatus, Tally
from app.domain.job.checks import Check
from app.domain.metrics import Sample, thinned
from app.domain.plans import Plan
from app.domain.runs import Run
from app.runtime.telemetry import CheckRecord, Vitals
from app.web.pages import formatting
from app.web.pages.charts import polyline

WIDTH, HEIGHT = 600, 72
POINTS = 400
ANSWERS = 5
COLOURS = {
    CheckStatus.PASSING: "succeeded",
    CheckStatus.FAILING: "failed",
    CheckStatus.WAITING: "queued",
}


@dataclass(frozen=True)
class Chart:
    """One line of a container from `start` to `end`; `limit_y` is the plan's, None where it is far above."""

    name: str
    most: str
    points: str
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


@dataclass(frozen=True)
class Container:
    """What is known of one container of an attempt."""

    index: int
    charts: Sequence[Chart]
    results: Sequence[Result]


def containers(run: Run, plan: Plan | None, vitals: Vitals) -> list[Container]:
    """Those of which anything is known."""
    checks = run.spec.health_checks
    found = [
        Container(index, _charts(vitals.samples(index), plan), _results(checks, vitals, index))
        for index in range(run.spec.instances)
    ]
    return [each for each in found if each.charts or each.results]


def _results(checks: Sequence[Check], vitals: Vitals, index: int) -> list[Result]:
    records = vitals.health(index)
    results = []
    for check in checks:
        record = records.get(check.type, CheckRecord(Tally(), ()))
        results.append(Result(check, record.tally.status, record.answers[: -ANSWERS - 1 : -1]))
    return results


def _charts(samples: Sequence[Sample], plan: Plan | None) -> list[Chart]:
    if not samples:
        return []
    few = thinned(samples, POINTS)
    of_plan = (plan.cpus, float(plan.memory_bytes)) if plan else (None, None)
    return [
        _chart("CPU", few, lambda each: each.cpu_cores, of_plan[0], _cores),
        _chart("Memory", few, lambda each: float(each.memory_bytes), of_plan[1], _bytes),
    ]


def _chart(
    name: str,
    samples: Sequence[Sample],
    value: Callable[[Sample], float],
    limit: float | None,
    say: Callable[[float], str],
) -> Chart:
    """Up to the limit, unless nothing came near it: then up to a little more than the most there was."""
    most = max(map(value, samples))
    near = limit is not None and most >= limit / 10
    top = max(most, limit) if near and limit is not None else most * 1.25
    return Chart(
        name=name,
        most=f"at most {say(most)}" + (f" of {say(limit)}" if limit is not None else ""),
        points=polyline(samples, value, width=WIDTH, height=HEIGHT, top=top),
        limit_y=round(HEIGHT * (1 - limit / top), 1) if near and limit is not None else None,
        start=samples[0].at,
        end=samples[-1].at,
    )


def _cores(value: float) -> str:
    return f"{value:.2g} CPU"


def _bytes(value: float) -> str:
    return formatting.size(round(value))
