"""`next_fire`: what it costs to know when a job is due next, over plain croniter.

Both sides answer the same question for the same jobs in the same run, alternating; times are the best of
several rounds. `ratio` compares one next fire of a job whose schedule is known: ours keeps a checked
schedule, croniter an iterator that is told the time. `ratio_first` is that of a job seen for the first time,
parsing included.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter

from app.domain.schedule import Schedule
from app.domain.schedule.fields import parse_fields
from app.domain.schedule.pattern import Pattern

JOBS = 2_000
ROUNDS = 5
NOW = datetime(2026, 6, 1, 12, 34, 56, tzinfo=UTC)
GOAL = 0.25


def run() -> dict[str, Any]:
    """Microseconds a job for each zone, and the worse zone's ratios over croniter."""
    expressions = _expressions(random.Random(1))
    zones = {zone: _compare(expressions, zone) for zone in ("UTC", "America/New_York")}
    return {
        "benchmark": "next_fire",
        "jobs": JOBS,
        "zones": zones,
        "ratio": max(figures["ratio"] for figures in zones.values()),
        "ratio_first": max(figures["ratio_first"] for figures in zones.values()),
        "goal": GOAL,
    }


def _compare(expressions: Sequence[str], zone: str) -> dict[str, float]:
    local = NOW.astimezone(ZoneInfo(zone))
    schedules = [Schedule.parse(expression, zone) for expression in expressions]
    iterators = [croniter(expression, local, ret_type=datetime) for expression in expressions]
    assert [schedule.next_after(NOW) for schedule in schedules] == [
        iterator.get_next(start_time=local) for iterator in iterators
    ]

    def first_time(expression: str) -> datetime:
        fields = parse_fields(expression)
        return Schedule(expression, zone, fields, Pattern.of(fields)).next_after(NOW)

    figures = _best_of(
        {
            "ours": lambda: [schedule.next_after(NOW) for schedule in schedules],
            "croniter": lambda: [iterator.get_next(start_time=local) for iterator in iterators],
            "ours_first": lambda: [first_time(expression) for expression in expressions],
            "croniter_first": lambda: [
                croniter(expression, local, ret_type=datetime).get_next() for expression in expressions
            ],
        }
    )
    return {
        **{f"{name}_us": round(seconds / len(expressions) * 1e6, 2) for name, seconds in figures.items()},
        "ratio": round(figures["ours"] / figures["croniter"], 3),
        "ratio_first": round(figures["ours_first"] / figures["croniter_first"], 3),
    }


def _best_of(sides: dict[str, Callable[[], object]]) -> dict[str, float]:
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(ROUNDS):
        for name, work in sides.items():
            start = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def _expressions(chance: random.Random) -> list[str]:
    def minute() -> int:
        return chance.randrange(60)

    def hour() -> int:
        return chance.randrange(24)

    kinds: list[Callable[[], str]] = [
        lambda: f"*/{chance.choice([1, 2, 5, 10, 15])} * * * *",
        lambda: f"{minute()} * * * *",
        lambda: f"{minute()} {hour()} * * *",
        lambda: f"{minute()} {hour()} * * {chance.randrange(7)}",
        lambda: f"{minute()} {hour()} {chance.randrange(1, 29)} * *",
        lambda: f"{minute()} 9-17 * * 1-5",
        lambda: f"0 0 1 {chance.randrange(1, 13)} *",
    ]
    return [chance.choice(kinds)() for _ in range(JOBS)]
