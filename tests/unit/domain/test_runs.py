"""What the end of an attempt means for its run: every case, and any history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.domain.job.spec import RunSpec
from app.domain.retry import Backoff, delay_after
from app.domain.runs import (
    INTERRUPTION_LIMIT,
    Again,
    Final,
    Outcome,
    Reason,
    Run,
    RunStatus,
    Trigger,
    TriggerType,
    conclude,
    is_past_deadline,
)

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
RUN = Run(
    id=1,
    name="report-1",
    project_id=1,
    project="reports",
    job_id=1,
    job="report",
    status=RunStatus.RUNNING,
    trigger=Trigger(TriggerType.MANUAL),
    spec=RunSpec(),
    created_at=START,
    updated_at=START,
    first_started_at=START,
)
OK = Outcome(None, 0, "Exited with code 0.")
RETRIED = {Reason.EXIT_NONZERO, Reason.OUT_OF_MEMORY, Reason.UNHEALTHY, Reason.ENGINE_FAILED}
# Cancel and replace are requests on the run, never an outcome by themselves, but must not be retried either.
NOT_RETRIED = {
    Reason.IMAGE_UNAVAILABLE,
    Reason.SECRET_UNAVAILABLE,
    Reason.TIME_LIMIT,
    Reason.CANCELLED,
    Reason.REPLACED,
}


OF_SPEC = ("retry_limit", "retry_backoff", "time_limit_seconds")


def changed(run: Run, **changes: Any) -> Run:
    """The run with other values of its own or of its specification."""
    of_spec = {name: changes.pop(name) for name in OF_SPEC if name in changes}
    return replace(run, spec=replace(run.spec, **of_spec), **changes)


def ended(reason: Reason | None, at: datetime | None = None) -> Outcome:
    return Outcome(reason, 0 if reason is None else 1, "It ended.", at)


def test_every_reason_is_known_here() -> None:
    assert RETRIED | NOT_RETRIED | {Reason.INTERRUPTED} == set(Reason)


def test_exit_0_succeeds() -> None:
    assert conclude(RUN, OK, START) == Final(RunStatus.SUCCEEDED, None, "Exited with code 0.")


@pytest.mark.parametrize("reason", sorted(RETRIED))
def test_failures_are_retried_as_often_as_allowed(reason: Reason) -> None:
    again = conclude(changed(RUN, retry_limit=2, failed=1), ended(reason), START)
    assert isinstance(again, Again)
    assert again.available_at == START + timedelta(seconds=20)
    assert "retry 2 of 2 in 20 s" in again.sentence
    last = conclude(changed(RUN, retry_limit=2, failed=2), ended(reason), START)
    assert last == Final(RunStatus.FAILED, reason, "It ended.")


@pytest.mark.parametrize("reason", sorted(NOT_RETRIED - {Reason.TIME_LIMIT}))
def test_what_no_retry_can_mend_is_final(reason: Reason) -> None:
    assert conclude(changed(RUN, retry_limit=5), ended(reason), START) == Final(
        RunStatus.FAILED, reason, "It ended."
    )


@pytest.mark.parametrize("reason", [None, *Reason])
@pytest.mark.parametrize("retries", [0, 3])
def test_a_passed_time_limit_wins_over_every_end(reason: Reason | None, retries: int) -> None:
    run = changed(RUN, time_limit_seconds=60, retry_limit=retries)
    late = START + timedelta(seconds=60)
    for verdict in (conclude(run, ended(reason, late), late), conclude(run, ended(reason), late)):
        assert isinstance(verdict, Final)
        assert (verdict.status, verdict.reason) == (RunStatus.FAILED, Reason.TIME_LIMIT)
        assert ("3 of 3 retries left unused" in verdict.sentence) is (retries == 3)


def test_what_ended_in_time_is_judged_by_its_own_end() -> None:
    """However late the server that finds it."""
    run = changed(RUN, time_limit_seconds=60)
    verdict = conclude(run, ended(None, START + timedelta(seconds=59)), START + timedelta(hours=1))
    assert isinstance(verdict, Final)
    assert verdict.status is RunStatus.SUCCEEDED


@pytest.mark.parametrize("reason", [None, *Reason])
@pytest.mark.parametrize("asked", [Reason.CANCELLED, Reason.REPLACED])
def test_a_cancel_wins_over_everything(reason: Reason | None, asked: Reason) -> None:
    run = changed(
        RUN,
        time_limit_seconds=60,
        retry_limit=5,
        cancel_requested_at=START,
        cancel_reason=asked,
        cancel_sentence="Cancelled by ada.",
    )
    verdict = conclude(run, ended(reason), START + timedelta(hours=1))
    assert verdict == Final(RunStatus.CANCELLED, asked, "Cancelled by ada.")


def test_interruptions_are_nobodys_failure_but_not_without_end() -> None:
    for interruptions in range(INTERRUPTION_LIMIT):
        verdict = conclude(replace(RUN, interruptions=interruptions), ended(Reason.INTERRUPTED), START)
        if interruptions + 1 < INTERRUPTION_LIMIT:
            assert isinstance(verdict, Again)
            assert verdict.available_at == START
        else:
            assert verdict == Final(RunStatus.FAILED, Reason.INTERRUPTED, "It ended.")


def test_a_wait_ends_with_the_time_limit() -> None:
    run = changed(RUN, time_limit_seconds=15, retry_limit=5, failed=3)
    again = conclude(run, ended(Reason.EXIT_NONZERO), START + timedelta(seconds=5))
    assert isinstance(again, Again)
    assert again.available_at == START + timedelta(seconds=15)


def test_waits_grow_to_six_minutes() -> None:
    seconds = [delay_after(n, Backoff.EXPONENTIAL).total_seconds() for n in range(1, 9)]
    assert seconds == [10, 20, 40, 80, 160, 320, 360, 360]
    assert delay_after(10**9, Backoff.EXPONENTIAL) == timedelta(minutes=6)
    assert {delay_after(n, Backoff.FIXED).total_seconds() for n in range(1, 9)} == {10}
    assert {delay_after(n, Backoff.NONE).total_seconds() for n in range(1, 9)} == {0}


class RunLife(RuleBasedStateMachine):
    """A run as the store keeps it, through any sequence of ends, waits and requests."""

    @initialize(
        retries=st.integers(0, 4),
        limit=st.none() | st.integers(1, 300),
        backoff=st.sampled_from(Backoff),
    )
    def begin(self, retries: int, limit: int | None, backoff: Backoff) -> None:
        self.now = START
        self.run = changed(
            RUN,
            status=RunStatus.QUEUED,
            retry_limit=retries,
            time_limit_seconds=limit,
            retry_backoff=backoff,
            first_started_at=None,
            available_at=START,
        )
        self.ended_with_0 = False

    @rule(seconds=st.integers(0, 400))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.run.status is RunStatus.QUEUED and self.now >= self.run.available_at)
    @rule()
    def claimed(self) -> None:
        if is_past_deadline(self.run, self.now):
            self.settle(Outcome(Reason.TIME_LIMIT), attempted=False)
            return
        first = self.run.first_started_at or self.now
        self.run = replace(
            self.run, status=RunStatus.RUNNING, attempts=self.run.attempts + 1, first_started_at=first
        )

    @precondition(lambda self: self.run.status is RunStatus.RUNNING)
    @rule(reason=st.none() | st.sampled_from(sorted(set(Reason) - {Reason.CANCELLED, Reason.REPLACED})))
    def attempt_ends(self, reason: Reason | None) -> None:
        self.ended_with_0 = reason is None
        self.settle(ended(reason, self.now), attempted=True)

    def settle(self, outcome: Outcome, *, attempted: bool) -> None:
        before = self.run
        verdict = conclude(before, outcome, self.now)
        run = before
        if outcome.reason is Reason.INTERRUPTED:
            run = replace(run, interruptions=run.interruptions + 1)
        elif attempted and outcome.reason is not None:
            run = replace(run, failed=run.failed + 1)
        if isinstance(verdict, Again):
            assert verdict.available_at >= self.now
            assert verdict.available_at <= self.now + timedelta(minutes=6)
            self.run = replace(run, status=RunStatus.QUEUED, available_at=verdict.available_at)
            return
        self.run = replace(run, status=verdict.status, reason=verdict.reason)
        late = before.deadline_at is not None and self.now >= before.deadline_at
        if before.cancel_requested_at is not None:
            assert verdict.status is RunStatus.CANCELLED
        elif late:
            assert (verdict.status, verdict.reason) == (RunStatus.FAILED, Reason.TIME_LIMIT)

    @precondition(lambda self: not self.run.status.is_final)
    @rule()
    def cancelled(self) -> None:
        if self.run.status is RunStatus.QUEUED:
            self.run = replace(self.run, status=RunStatus.CANCELLED, reason=Reason.CANCELLED)
        else:
            self.run = replace(
                self.run,
                cancel_requested_at=self.now,
                cancel_reason=Reason.CANCELLED,
                cancel_sentence="Cancelled.",
            )

    @invariant()
    def attempts_are_bounded(self) -> None:
        if not hasattr(self, "run"):
            return
        run = self.run
        assert run.interruptions <= INTERRUPTION_LIMIT
        assert run.attempts <= run.spec.retry_limit + 1 + run.interruptions

    @invariant()
    def success_is_exit_0(self) -> None:
        if hasattr(self, "run") and self.run.status is RunStatus.SUCCEEDED:
            assert self.ended_with_0
            assert self.run.reason is None


TestRunLife = RunLife.TestCase
TestRunLife.settings = settings(max_examples=60, stateful_step_count=30)
