"""Being told: what happens that somebody may want to know, by which rules a target is told, and when it is tried again.

    notice         something ended or began that a project's targets may be told of; gone once it is looked at
    notification   one message to one target, of one or several items; kept, with what came of it

    notification   waiting ─claim▶ being sent ─▶ sent | waiting (tried again) | failed (given up)

Whether a failure is the first, and a success a recovery, is decided from how the job's run before ended that counts: a
cancelled run is neither a failure nor a success. Only the end of a run counts, so of its attempts the last.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.domain.errors import TransientError
from app.domain.runs import RunStatus

GATHERED_FOR = timedelta(seconds=3)  # what happens meanwhile is told in the same message
TOLD_EVERY = timedelta(
    seconds=20
)  # at most one message a target in that time; what comes meanwhile is one more
MOST_ITEMS = 50  # of one message; of others it says how many
KEPT = 200  # notifications of a target
MOST_TARGETS = 50  # of a project
LONGEST_ABSENCE_HOURS = 366 * 24
DELAYS = tuple(
    timedelta(seconds=each) for each in (10, 60, 300, 1800, 7200)
)  # after each try; then it is given up
LONGEST_WISH = timedelta(hours=2)  # of a receiver that says when to come again


class NotTaken(TransientError):
    """A receiver did not take a message and may take it later; `wish` is when, if it has said."""

    def __init__(self, message: str, wish: timedelta | None = None) -> None:
        super().__init__(message)
        self.wish = wish


class Kind(enum.StrEnum):
    """What a target is, and so what is sent there."""

    EMAIL = "email"
    SLACK = "slack"  # and what takes its form: Mattermost, Discord, Teams
    WEBHOOK = "webhook"  # JSON, signed as Standard Webhooks has it
    NTFY = "ntfy"
    PING = "ping"  # Healthchecks and its like: of a run's begin and end


class Rule(enum.StrEnum):
    """What a target is told of."""

    FAILURE = "failure"  # each run that failed
    FIRST_FAILURE = "first_failure"  # a run that failed, after one that did not
    RECOVERY = "recovery"  # a run that succeeded, after one that failed
    END = "end"  # each run that ended, also a cancelled one
    MISSED = "missed"  # a scheduled time passed while nobody could act
    ABSENCE = "absence"  # no run has succeeded for some hours; and that one has again
    BUILD_FAILURE = "build_failure"
    DEPLOYMENT = "deployment"  # an app's ended, or a job got another image, also by promotion
    ALARM = "alarm"  # the server's disk, or its container engine


WORDS = {
    Rule.FAILURE: "each failed run",
    Rule.FIRST_FAILURE: "the first failed run",
    Rule.RECOVERY: "the next run that succeeds",
    Rule.END: "each run that ends",
    Rule.MISSED: "missed schedules",
    Rule.ABSENCE: "no success for some hours",
    Rule.BUILD_FAILURE: "failed builds",
    Rule.DEPLOYMENT: "deployments and promotions",
    Rule.ALARM: "the server's disk and engine",
}
# What a message is told by, where several rules would: the one that says most.
_SPEAKING = (Rule.RECOVERY, Rule.FIRST_FAILURE, Rule.FAILURE, Rule.END)


class What(enum.StrEnum):
    """What a notice is of; its subject is the id of that."""

    RUN_BEGAN = "run_began"
    RUN_ENDED = "run_ended"
    BUILD_ENDED = "build_ended"
    DEPLOYMENT_ENDED = "deployment_ended"
    IMAGE_MOVED = "image_moved"  # a decision
    MISSED = "missed"  # a decision
    ALARM = "alarm"
    ALARM_OVER = "alarm_over"


class State(enum.StrEnum):
    """How an item is counted in a message of several."""

    FAILED = "failed"
    RECOVERED = "recovered"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    STARTED = "started"
    MISSED = "missed"
    ABSENT = "absent"
    DEPLOYED = "deployed"
    ALARM = "alarm"
    OVER = "over"
    TEST = "test"

    @property
    def is_bad(self) -> bool:
        return self in (self.FAILED, self.MISSED, self.ABSENT, self.ALARM)


COUNTED = {
    State.FAILED: "failed",
    State.RECOVERED: "recovered",
    State.SUCCEEDED: "succeeded",
    State.CANCELLED: "cancelled",
    State.STARTED: "started",
    State.MISSED: "missed",
    State.ABSENT: "without success",
    State.DEPLOYED: "deployed",
    State.ALARM: "alarms",
    State.OVER: "over",
    State.TEST: "tests",
}


@dataclass(frozen=True)
class Item:
    """One thing that a message tells: `headline` in a few words, `sentence` why, as it is stored; `path` leads there.

    `details` says more of it, such as by what the run was started. `subject` is its run, build or deployment.
    """

    rule: str
    state: State
    headline: str
    sentence: str
    at: datetime
    path: str = ""
    job: str | None = None
    details: str = ""
    run_id: int | None = None
    attempt: int = 0  # of the run, whose log is told
    build_id: int | None = None
    run_name: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "state": self.state.value,
            "headline": self.headline,
            "sentence": self.sentence,
            "at": self.at.isoformat(),
            "path": self.path,
            "job": self.job,
            "details": self.details,
            "run_id": self.run_id,
            "attempt": self.attempt,
            "build_id": self.build_id,
            "run_name": self.run_name,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Item:
        known = {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}
        return cls(**{**known, "state": State(stored["state"]), "at": datetime.fromisoformat(stored["at"])})


def rules_of_end(status: RunStatus, before: RunStatus | None) -> frozenset[Rule]:
    """Return the rules that the end of a run meets; `before` is how the run before ended, if any counts."""
    match status:
        case RunStatus.FAILED:
            first = {Rule.FIRST_FAILURE} if before is not RunStatus.FAILED else set()
            return frozenset({Rule.END, Rule.FAILURE, *first})
        case RunStatus.SUCCEEDED:
            recovery = {Rule.RECOVERY} if before is RunStatus.FAILED else set()
            return frozenset({Rule.END, *recovery})
        case _:
            return frozenset({Rule.END})


def state_of_end(status: RunStatus, before: RunStatus | None) -> State:
    if status is RunStatus.FAILED:
        return State.FAILED
    if status is RunStatus.CANCELLED:
        return State.CANCELLED
    return State.RECOVERED if before is RunStatus.FAILED else State.SUCCEEDED


def standing_after(status: RunStatus, before: RunStatus | None) -> RunStatus | None:
    """Return how the job stands once a run has ended so: a cancelled one changes nothing."""
    return before if status is RunStatus.CANCELLED else status


def told_by(met: Collection[Rule], on: Collection[Rule]) -> Rule | None:
    """Return the rule by which a target with the rules `on` is told, of those that were met; None if it isn't."""
    both = set(met) & set(on)
    return next((rule for rule in _SPEAKING if rule in both), None) or next(iter(sorted(both)), None)


def due_after(now: datetime, latest: datetime | None) -> datetime:
    """Return when a new message to a target is sent, the last one of which was made at `latest`."""
    soon = now + GATHERED_FOR
    return soon if latest is None or latest > now else max(soon, latest + TOLD_EVERY)


def next_try(tries: int, wish: timedelta | None = None) -> timedelta | None:
    """Return how long after its n-th failed try a notification is tried again; None where it is given up.

    A receiver may wish for a longer wait, within a bound.
    """
    if tries > len(DELAYS):
        return None
    return max(DELAYS[tries - 1], min(wish or timedelta(0), LONGEST_WISH))


def key_of(notification_id: int, created_at: datetime) -> str:
    """Return what a receiver tells a message by: the same for every try of it, unlike any other's."""
    return f"jobyard-{created_at:%Y%m%dT%H%M%S.%f}-{notification_id}"
