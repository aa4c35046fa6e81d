"""Health checks of a container: what is asked, how often, and what the answers amount to.

    startup ──`success_threshold` passes in a row──▶ liveness ──▶ … until the container ends
        └────────── `failure_threshold` failures in a row ──┴──▶ unhealthy

One check is open at a time: as long as a startup check has not passed, liveness waits. Delays count from the
container's start; `observe` is the only transition. What a check asks is in `job.checks`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.domain.job.checks import Check, CheckType


class CheckStatus(enum.StrEnum):
    WAITING = "waiting"  # too few answers yet
    PASSING = "passing"  # `success_threshold` passes in a row, and no failure since
    FAILING = "failing"  # the last answer was a failure


@dataclass(frozen=True)
class Answer:
    """What a probe that began `at` came to, in words, after `seconds`."""

    at: datetime
    passed: bool
    words: str
    seconds: float = 0.0

    @property
    def ended_at(self) -> datetime:
        return self.at + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Tally:
    """The answers to one check so far: how many of a kind in a row, and whether it counts as passed."""

    passes: int = 0
    failures: int = 0
    is_passing: bool = False
    last: Answer | None = None

    def add(self, check: Check, answer: Answer) -> Tally:
        if not answer.passed:
            return Tally(0, self.failures + 1, False, answer)
        passes = self.passes + 1
        return Tally(passes, 0, self.is_passing or passes >= check.success_threshold, answer)

    @property
    def status(self) -> CheckStatus:
        if self.failures:
            return CheckStatus.FAILING
        return CheckStatus.PASSING if self.is_passing else CheckStatus.WAITING


@dataclass(frozen=True)
class Health:
    """One container's health since it started. `tallies` has an entry for every check that was answered."""

    checks: tuple[Check, ...]
    started_at: datetime
    tallies: Mapping[CheckType, Tally] = field(default_factory=dict)
    not_before: datetime | None = None  # a probe that came to nothing is tried again then

    def tally(self, type_: CheckType) -> Tally:
        return self.tallies.get(type_, Tally())

    @property
    def has_started(self) -> bool:
        """Return whether there is no startup check, or it has passed."""
        return all(
            self.tally(check.type).is_passing for check in self.checks if check.type is CheckType.STARTUP
        )

    @property
    def open_check(self) -> Check | None:
        """The check that is to be asked next, if any."""
        wanted = CheckType.LIVENESS if self.has_started else CheckType.STARTUP
        return next((check for check in self.checks if check.type is wanted), None)

    @property
    def next_at(self) -> datetime | None:
        """Return when the next probe is due; None when there will be none."""
        check = self.open_check
        if check is None or self.unhealthy is not None:
            return None
        last = self.tally(check.type).last
        if last is None:
            due = self.started_at + timedelta(seconds=check.initial_delay_seconds)
        else:
            due = max(last.at + timedelta(seconds=check.period_seconds), last.ended_at)
        return max(due, self.not_before) if self.not_before is not None else due

    @property
    def longest_wait(self) -> timedelta:
        """Return the longest wait for the next probe, as long as the clock is not set back."""
        seconds = (max(check.initial_delay_seconds, check.period_seconds) for check in self.checks)
        return timedelta(seconds=max(seconds, default=0))

    @property
    def unhealthy(self) -> str | None:
        """Return why the container has to end, in one sentence; None as long as it may live."""
        check = self.open_check
        if check is None:
            return None
        tally = self.tally(check.type)
        if tally.last is None or tally.failures < check.failure_threshold:
            return None
        often = "once" if tally.failures == 1 else f"{tally.failures} times in a row"
        return f"The {check.type} check ({check.words}) failed {often}, at last with: {tally.last.words}."

    def observe(self, answer: Answer) -> Health:
        """The health after the open check was answered."""
        check = self.open_check
        if check is None:
            return self
        tally = self.tally(check.type).add(check, answer)
        return replace(self, tallies={**self.tallies, check.type: tally}, not_before=None)

    def postpone(self, now: datetime) -> Health:
        """The health after a probe that says nothing, such as one that the engine could not make."""
        check = self.open_check
        if check is None:
            return self
        return replace(self, not_before=now + timedelta(seconds=check.period_seconds))
