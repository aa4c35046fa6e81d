"""Which of the rows that are over are removed, and why others stay although they are old.

A row is beyond the limits if it ended longer ago than `Limits.days`, or if its owner (the job of a run, the source of a
build, the app of a deployment) has at least `Limits.count` newer ones. What is beyond them goes, unless it is needed.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta


class Kind(enum.StrEnum):
    """In the order in which they are removed: each may be needed by those before it."""

    FLOW_RUNS = "flow_runs"
    PROMOTIONS = "promotions"
    DEPLOYMENTS = "deployments"
    RUNS = "runs"
    BUILDS = "builds"
    DECISIONS = "decisions"  # about nothing that is kept by itself, such as skips
    DELIVERIES = "deliveries"
    MOVEMENTS = "movements"
    DELETED_JOBS = "deleted_jobs"


class Ended(enum.StrEnum):
    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    OTHERWISE = "otherwise"


class Why(enum.StrEnum):
    """Why something beyond the limits stays."""

    IS_OPEN = "is_open"
    LAST_SUCCESS = "last_success"
    LAST_FAILURE = "last_failure"
    LATEST_BUILD = "latest_build"
    DEPLOYED = "deployed"
    COULD_BE_ROLLED_BACK_TO = "could_be_rolled_back_to"
    DEPLOYMENT_IS_KEPT = "deployment_is_kept"
    RUN_IS_KEPT = "run_is_kept"
    AWAITED = "awaited"

    @property
    def sentence(self) -> str:
        return SENTENCES[self]


SENTENCES = {
    Why.IS_OPEN: "It is not over.",
    Why.LAST_SUCCESS: "It is the last that succeeded.",
    Why.LAST_FAILURE: "It is the last that failed.",
    Why.LATEST_BUILD: "It is the latest build of its source.",
    Why.DEPLOYED: "Its image is deployed, or named as a job's source.",
    Why.COULD_BE_ROLLED_BACK_TO: "It could be rolled back to.",
    Why.DEPLOYMENT_IS_KEPT: "A deployment that is kept refers to it.",
    Why.RUN_IS_KEPT: "A run that is kept refers to it.",
    Why.AWAITED: "Something that is not over refers to it.",
}


@dataclass(frozen=True)
class Limits:
    """`days` since the end, `count` of each owner's newest, `audit_days` of the audit log; 0 is no limit."""

    days: int = 90
    count: int = 1000
    audit_days: int = 365

    def cutoff(self, now: datetime) -> datetime | None:
        """What ended before this is too old."""
        return now - timedelta(days=self.days) if self.days else None

    def audit_cutoff(self, now: datetime) -> datetime | None:
        """Entries of the audit log from before this are too old."""
        return now - timedelta(days=self.audit_days) if self.audit_days else None


@dataclass(frozen=True, slots=True)
class Past:
    """A row that may go. `owner` is None where it has none; `at` is when it ended, or began if it has no end."""

    id: int
    owner: int | None
    ended: Ended
    at: datetime
    created_at: datetime


def is_beyond(past: Past, cutoff: datetime | None, floors: Collection[int]) -> bool:
    """Return whether the row is beyond the limits.

    `floors` has, for each owner of the row, the id of the oldest of its newest `Limits.count` rows (0 where it has
    fewer): the row must be older for all of them.
    """
    is_old = cutoff is not None and past.at < cutoff
    return is_old or (bool(floors) and all(past.id < floor for floor in floors))


def why_kept(past: Past, needed: Why | None) -> Why | None:
    """Return why a row beyond the limits stays; None if it goes. `needed` is what others want of it."""
    return Why.IS_OPEN if past.ended is Ended.OPEN else needed


@dataclass(frozen=True)
class Share:
    """What goes of one kind: ids by owner. `staying` counts what is beyond the limits and needed.

    `is_whole` is False where more is to go than one plan takes.
    """

    going: Mapping[int | None, Sequence[int]] = field(default_factory=dict)
    staying: Mapping[Why, int] = field(default_factory=dict)
    is_whole: bool = True

    @property
    def ids(self) -> list[int]:
        """Ascending."""
        return sorted(each for ids in self.going.values() for each in ids)

    @property
    def count(self) -> int:
        return sum(len(ids) for ids in self.going.values())


def divided(found: Sequence[Past], needed: Mapping[int, Why], *, is_whole: bool = True) -> Share:
    """Divide rows that are beyond the limits into those that go and those that stay."""
    going: dict[int | None, list[int]] = {}
    staying: dict[Why, int] = {}
    for past in found:
        why = why_kept(past, needed.get(past.id))
        if why is None:
            going.setdefault(past.owner, []).append(past.id)
        else:
            staying[why] = staying.get(why, 0) + 1
    return Share(going, staying, is_whole)


@dataclass(frozen=True)
class Plan:
    """What goes, by kind and in the order of kinds, as it was at a moment.

    `newest_deployment` is the id of the newest that was looked at: later ones may need something of this again.
    """

    at: datetime
    shares: Mapping[Kind, Share]
    newest_deployment: int = 0

    @property
    def is_whole(self) -> bool:
        return all(share.is_whole for share in self.shares.values())

    @property
    def is_empty(self) -> bool:
        return not any(share.count for share in self.shares.values())
