"""Lanes, strips and steps as pictures, durations, settings and states as words."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from app.domain.build_parts import BuildStep
from app.domain.job.checks import CheckType, CommandCheck, HttpCheck
from app.domain.runs import Reason, RunStatus, Trigger, TriggerType
from app.store import conditions, overview, run_attempts, runs
from app.store.strips import Strip, mark_of, strips
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
    ends = (SUCCEEDED, failed(Reason.EXIT_NONZERO, "Exited with code 1"), SUCCEEDED)
    for number, seconds in enumerate((10, 1000, 40)):
        made.run(job, NOW - timedelta(hours=9 - number), seconds=seconds, outcome=ends[number])
    with made.db.read() as tx:
        bars = overview.strip(tx, job.id)
    marks = [mark_of(bar) for bar in bars]
    drawn = charts.strip(marks, NOW)
    assert set(drawn) == {RunStatus.SUCCEEDED, RunStatus.FAILED}
    assert re.findall(r"M(\d+) 28v-", drawn[RunStatus.SUCCEEDED]) == ["161", "147"]
    assert drawn[RunStatus.FAILED] == "M154 28v-28h5v28z"
    heights = [int(each) for each in re.findall(r"v-(\d+)", drawn[RunStatus.SUCCEEDED])]
    assert charts.STRIP_HEIGHT > heights[0] > heights[1] >= charts.SHORTEST
    assert charts.strip_in_words(marks) == "3 runs: 2 succeeded, 1 failed; the latest succeeded"
    assert charts.strip_in_words([]) == "no runs yet"
    assert overview.typical_duration(bars) is None, "two say little"
    assert overview.typical_duration([*bars, bars[0]]) == timedelta(seconds=40)


def test_strips_of_many_are_those_of_each_whatever_was_remembered(made: World) -> None:
    busy, idle = made.job("busy"), made.job("idle")
    for number in range(30):
        made.run(busy, NOW - timedelta(hours=60 - number), seconds=number + 1, outcome=SUCCEEDED)

    def told() -> dict[int, Strip]:
        with made.db.read() as tx:
            latest = {each.job_id: each.latest_run_id for each in conditions.standings(tx)}
            found = strips(tx, latest)
            assert found[busy.id].marks == tuple(map(mark_of, overview.strip(tx, busy.id)))
            return found

    assert told()[idle.id].marks == ()
    assert told()[busy.id].typical == timedelta(seconds=19)
    running = made.run(busy, NOW - timedelta(seconds=30))
    began = NOW - timedelta(seconds=30)
    assert told()[busy.id].marks[0] == (running, RunStatus.RUNNING, began, 0.0, began)
    made.end_attempt(running, SUCCEEDED, NOW)
    assert told()[busy.id].marks[0].seconds == 30


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
