"""Scheduled backups: when one is due, what they are called, and which of them are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from app.domain.schedule import Schedule

FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=1)
SET_BACK = timedelta(hours=1)


@dataclass(frozen=True)
class BackupPlan:
    """What is to be made: `to` is a directory or `s3://BUCKET/PREFIX`; `keep` 0 keeps all. `with_key` None puts the key
    into files and not into buckets.
    """

    to: str
    schedule: Schedule
    keep: int
    with_key: bool | None = None


@dataclass(frozen=True)
class Made:
    """A backup that was found to be whole; `where` is its path or address."""

    name: str
    where: str
    bytes: int


@dataclass(frozen=True)
class StoredBackup:
    """A backup that is there; `where` is its path or address."""

    name: str
    where: str
    bytes: int

    @property
    def made_at(self) -> datetime:
        """As its name says."""
        return datetime.strptime(self.name[8:24], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


@dataclass(frozen=True)
class BackupState:
    """What is known of an installation's backups. Times of the schedule up to `since` are done with.

    `owner` is the server that makes one just now, since `begun_at`; each claim raises `token`. `failures`, `failed_at`,
    `trouble` and `retry_at` are of the tries since the last good one, which `made_at`, `where` and `bytes` are of.
    """

    since: datetime
    owner: str = ""
    token: int = 0
    begun_at: datetime | None = None
    failures: int = 0
    failed_at: datetime | None = None
    trouble: str = ""
    retry_at: datetime | None = None
    made_at: datetime | None = None
    where: str = ""
    bytes: int = 0


def due_at(state: BackupState, schedule: Schedule) -> datetime:
    """When the next one is to be made; in the past if that was missed."""
    return state.retry_at or schedule.next_after(state.since)


def is_ahead(state: BackupState, now: datetime) -> bool:
    """Whether the clock was set back by over an hour since; clocks of several servers differ by less."""
    return max(state.since, state.failed_at or state.since) - now > SET_BACK


def brought_back(state: BackupState, now: datetime) -> BackupState:
    """The state by a clock that was set back, so that nothing waits until it has caught up."""
    if state.failed_at is None:
        return replace(state, since=min(state.since, now))
    return replace(state, since=min(state.since, now), failed_at=now, retry_at=now)


def delay_after(failures: int) -> timedelta:
    """The wait after so many failed tries (1 or more): 1 min, 2 min, 4 min … at most an hour."""
    doublings = min(failures - 1, 10)  # far past the longest delay; keeps the number small
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)


def name_of(made_at: datetime, installation: str, epoch: str) -> str:
    """The name of a backup of that time (UTC); names sort by time. Other epochs have others, as they are copies."""
    return f"jobyard-{made_at:%Y%m%dT%H%M%SZ}-{installation}{epoch and f'-{epoch}'}.tar"


def is_own(name: str, installation: str, epoch: str) -> bool:
    """Whether `name_of` has given that name in this epoch of this installation."""
    end = re.escape(f"-{installation}{epoch and f'-{epoch}'}.tar")
    return re.fullmatch(r"jobyard-\d{8}T\d{6}Z" + end, name) is not None


def beyond(names: Iterable[str], keep: int, newest: str) -> list[str]:
    """Those that are not kept, oldest first, once `newest` is made: that one stays also if the clock was set back."""
    ordered = sorted(set(names) - {newest})
    return ordered[: max(len(ordered) - (keep - 1), 0)] if keep else []
