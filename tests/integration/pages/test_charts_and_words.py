"""Lanes, strips and steps as pictures, durations, settings and states as words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.domain.build_parts import BuildStep
from app.domain.job.checks import CheckType, CommandCheck, HttpCheck
from app.domain.runs import Reason, RunStatus, Trigger, TriggerType
from app.store import overview, run_attempts, runs
from app.web.pages import charts, formatting
from tests.support.demo_world import Demo
from tests.support.seed import SUCCEEDED, World, failed
from tests.support.visiting import NOW, run_of


def test_a_lane_places_attempts_and_waits_against_the_limit(made: World, demo: Demo) -> None:
    run = run_of(made, demo.failed_run)
    with made.db.read() as tx:
        attempts = run_attempts.attempts_of(tx, run.id)
    lane = charts.lane(run, attempts, NOW)
    assert lane is not None
    assert [span.kind for span in lane.spans] == ["failed", "waiting", "failed", "waiting", "failed"]
    ends = [0.0, *(round(span.x + span.width, 1) for span in lane.spans)]
    assert all(abs(span.x - end) < 0.1 for span, end in zip(lane.spans, ends, strict=False))
    assert lane.limit_x == pytest.approx(480 / 482 * 100, abs=0.1)
    assert lane.waits == "10 s, 20 s"


def test_a_strip_is_oldest_first_and_as_high_as_the_run_was_long(made: World) -> None:
    job = made.job("strip")
    for number, seconds in enumerate((10, 1000, 40)):
        made.run(job, NOW - timedelta(hours=9 - number), seconds=seconds, outcome=SUCCEEDED)
    with made.db.read() as tx:
        bars = overview.strip(tx, job.id)
    drawn = charts.strip(bars, NOW)
    assert [each.x for each in drawn] == [147, 154, 161]
    assert drawn[1].height == charts.STRIP_HEIGHT
    assert drawn[0].height < drawn[2].height < drawn[1].height
    assert overview.typical_duration(bars) == timedelta(seconds=40)


def test_a_step_that_was_never_reported_over_ended_with_its_build() -> None:
    stored = [BuildStep(1, 2, "a", 0.0, 2.0), BuildStep(2, 2, "b", 2.0)]
    live = charts.steps(stored, building=True, elapsed=timedelta(seconds=8))
    assert [(step.status, step.x, step.width) for step in live] == [
        ("succeeded", 0.0, 25.0),
        ("running", 25.0, 75.0),
    ]
    ended = charts.steps(stored, building=False, elapsed=timedelta(seconds=8))
    assert ended[1].status == "succeeded"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (9.4, "9.4 s"),
        (41, "41 s"),
        (102, "1 m 42 s"),
        (7500, "2 h 05 m"),
        (277_000, "3 d 4 h"),
        (-3, "0.0 s"),
        (None, formatting.NONE),
    ],
)
def test_durations_read_well(seconds: float | None, said: str) -> None:
    assert formatting.duration(seconds) == said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("shell", False, "no"),
        ("shell", True, "yes"),
        ("instances", 3, "3"),
        ("time_limit_seconds", None, formatting.NONE),
        ("health_checks", (), formatting.NONE),
        ("command", ("python", "a b.py"), "python 'a b.py'"),
        ("command", "python x.py", "python x.py"),
        (
            "health_checks",
            (HttpCheck(CheckType.LIVENESS, "/up", 80), CommandCheck(CheckType.STARTUP, "test -e /ready")),
            "liveness: GET /up at port 80; startup: the command 'test -e /ready'",
        ),
    ],
)
def test_settings_are_words(name: str, value: Any, said: str) -> None:
    assert formatting.setting(name, value) == said


def test_states_are_words(made: World, demo: Demo) -> None:
    assert formatting.outcome(run_of(made, demo.failed_run)) == "Failed · time limit"
    job = made.job("words")
    run = made.run(job, NOW, outcome=failed(Reason.EXIT_NONZERO, "Exited with code 3", 3))
    assert formatting.outcome(run_of(made, run)) == "Failed · exit 3"
    queued = made.queue_run(job, NOW, Trigger(TriggerType.MANUAL))
    assert formatting.outcome(run_of(made, queued)) == "Queued"
    with made.db.write() as tx:
        runs.cancel(tx, runs.with_id(tx, queued), Reason.CANCELLED, "x", NOW)
    assert run_of(made, queued).status is RunStatus.CANCELLED
    assert formatting.outcome(run_of(made, queued)) == "Cancelled"
