"""Health checks: properties over every sequence of answers, and the times at which they are asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.health import Answer, CheckStatus, Health
from app.domain.job.checks import CheckType, CommandCheck, HttpCheck, Protocol, TcpCheck
from app.domain.job.codec import check_from_json

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
LIVENESS = HttpCheck(CheckType.LIVENESS, path="/up", port=8080)
STARTUP = TcpCheck(CheckType.STARTUP, port=8080)

thresholds = st.integers(1, 4)
answers = st.lists(st.booleans(), max_size=40)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def asked(health: Health, passed: bool, took: float = 0.1) -> Health:
    """Asked when it is due, and answered."""
    due = health.next_at
    assert due is not None
    return health.observe(Answer(due, passed, "status 200" if passed else "status 503", took))


def after(health: Health, passes: list[bool]) -> list[Health]:
    """The health after each answer, as long as anything is asked."""
    history = [health]
    for passed in passes:
        if history[-1].next_at is None:
            break
        history.append(asked(history[-1], passed))
    return history


class TestVerdict:
    @given(answers, thresholds, thresholds, st.sampled_from(CheckType))
    def test_unhealthy_exactly_after_that_many_failures_in_a_row(
        self, passes: list[bool], failures: int, successes: int, type_: CheckType
    ) -> None:
        check = replace(LIVENESS, type=type_, failure_threshold=failures, success_threshold=successes)
        history = after(Health((check,), START), passes)
        for number, health in enumerate(history):
            last = passes[max(number - failures, 0) : number]
            assert (health.unhealthy is not None) == (len(last) == failures and not any(last))
        assert all(health.unhealthy is None for health in history[:-1]), "something was asked afterwards"

    @given(answers, thresholds)
    def test_startup_opens_liveness_after_that_many_passes_in_a_row(
        self, passes: list[bool], successes: int
    ) -> None:
        startup = replace(STARTUP, success_threshold=successes, failure_threshold=255)
        for number, health in enumerate(after(Health((LIVENESS, startup), START), passes)):
            before = passes[:number]
            opened = any(all(before[at : at + successes]) for at in range(len(before) - successes + 1))
            assert health.has_started == opened
            assert health.open_check == (LIVENESS if opened else startup)
            if opened:
                break

    def test_says_what_was_asked_how_often_and_what_came_back(self) -> None:
        health = after(Health((LIVENESS,), START), [True, False, False, False])[-1]
        assert health.unhealthy == (
            "The liveness check (GET /up at port 8080) failed 3 times in a row, at last with: status 503."
        )
        once = replace(STARTUP, failure_threshold=1)
        assert after(Health((once,), START), [False])[-1].unhealthy == (
            "The startup check (a connection to port 8080) failed once, at last with: status 503."
        )

    def test_a_startup_check_that_has_passed_is_asked_no_more(self) -> None:
        health = after(Health((STARTUP,), START), [True])[-1]
        assert health.next_at is None
        assert health.unhealthy is None

    def test_nothing_to_ask(self) -> None:
        assert Health((), START).next_at is None
        assert Health((), START).observe(Answer(START, False, "late")) == Health((), START)

    @pytest.mark.parametrize(
        ("passes", "status"),
        [
            ([], CheckStatus.WAITING),
            ([True], CheckStatus.WAITING),
            ([True, True], CheckStatus.PASSING),
            ([True, True, False], CheckStatus.FAILING),
            ([True, True, False, True], CheckStatus.WAITING),
        ],
    )
    def test_status(self, passes: list[bool], status: CheckStatus) -> None:
        check = replace(LIVENESS, success_threshold=2)
        assert after(Health((check,), START), passes)[-1].tally(CheckType.LIVENESS).status is status


class TestTimes:
    @given(answers, st.integers(1, 180), st.integers(10, 600), st.floats(0, 60))
    def test_first_after_the_delay_then_every_period(
        self, passes: list[bool], delay: int, period: int, took: float
    ) -> None:
        check = replace(LIVENESS, initial_delay_seconds=delay, period_seconds=period, failure_threshold=255)
        health, due = Health((check,), START), []
        for passed in passes:
            assert health.next_at is not None
            due.append(health.next_at)
            health = asked(health, passed, took)
        assert due[:1] == [START + seconds(delay)][: len(due)]
        for earlier, later in pairwise(due):
            assert later == max(earlier + seconds(period), earlier + seconds(took))

    def test_liveness_waits_for_startup(self) -> None:
        health = after(Health((STARTUP, LIVENESS), START), [False, False])[-1]
        assert health.open_check == STARTUP
        started = asked(health, True)
        assert started.open_check == LIVENESS
        assert started.next_at == START + seconds(LIVENESS.initial_delay_seconds)

    def test_what_says_nothing_is_asked_again_a_period_later_and_counts_for_nothing(self) -> None:
        failing = after(Health((LIVENESS,), START), [False, False])[-1]
        due = failing.next_at
        assert due is not None
        postponed = failing.postpone(due)
        assert postponed.next_at == due + seconds(LIVENESS.period_seconds)
        assert postponed.tally(CheckType.LIVENESS).failures == 2
        assert asked(postponed, False).unhealthy is not None

    def test_another_server_goes_on_with_what_was_found(self) -> None:
        health = after(Health((STARTUP, LIVENESS), START), [True, False, False])[-1]
        later = Health(health.checks, START + seconds(3600), health.tallies)
        assert later.next_at == health.next_at
        assert asked(later, False).unhealthy is not None


def test_reads_the_definition_of_a_job() -> None:
    given_ = {
        "type": "liveness",
        "protocol": "cmd",
        "path": None,
        "port": None,
        "cmd": "test -f '/tmp/all well'",
        "initial_delay_seconds": 1,
        "period_seconds": 10,
        "timeout_seconds": 5,
        "failure_threshold": 3,
        "success_threshold": 1,
    }
    check = check_from_json(given_)
    assert isinstance(check, CommandCheck)
    assert check.argv == ("test", "-f", "/tmp/all well")
    assert (check.type, check.protocol, check.initial_delay_seconds) == (CheckType.LIVENESS, Protocol.CMD, 1)
