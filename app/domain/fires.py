"""What a schedule owes at this moment: at most one run, however long nobody looked."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from app.domain.job.records import Job
from app.domain.job.spec import ScheduleSettings
from app.domain.schedule import Schedule

COUNTED = 10_000  # missed times are counted so far


@dataclass(frozen=True)
class Missed:
    """A gap in which nobody could act: the first and last scheduled time in it and how many there were.

    `deadline` is what even the newest time was too late for; None if that one runs, and stands for the others.
    """

    first: datetime
    last: datetime
    count: int
    deadline: timedelta | None

    @property
    def sentence(self) -> str:
        many = f"More than {COUNTED}" if self.count >= COUNTED else str(self.count)
        span = f"{many} scheduled times from {_utc(self.first)} to {_utc(self.last)}"
        what = f"The scheduled time {_utc(self.first)}" if self.count == 1 else span
        if self.deadline is None:
            return f"{what} passed before the server could act: of all that passed, only the newest still counts."
        late = f"the starting deadline of {self.deadline.total_seconds():.0f} s"
        return f"{what} passed before the server could act, and by then {late} had passed as well."


@dataclass(frozen=True)
class Due:
    """`fire_at` is the time to run for now, if any; `next_at` is when to look again."""

    fire_at: datetime | None
    missed: Missed | None
    next_at: datetime


def due(schedule: Schedule, next_fire_at: datetime, now: datetime, starting_deadline: timedelta) -> Due:
    """Return what is owed for the scheduled times from `next_fire_at` to `now`.

    The newest one is run if it is no older than `starting_deadline`; all others are missed, as one gap.
    """
    next_at = schedule.next_after(now)
    newest = next_fire_at
    if schedule.next_after(next_fire_at) <= now:
        newest = max(schedule.previous_or_at(now), next_fire_at)
    in_time = now - newest <= starting_deadline
    if in_time and newest == next_fire_at:
        return Due(newest, None, next_at)
    last = _before(schedule, newest, next_fire_at) if in_time else newest
    between = islice(schedule.fires_between(next_fire_at, last), COUNTED)
    count = 1 + sum(1 for _ in between)
    missed = Missed(next_fire_at, last, count, None if in_time else starting_deadline)
    return Due(newest if in_time else None, missed, next_at)


@dataclass(frozen=True)
class Repeated:
    """Scheduled times that come again as the clock was set back, and that were decided before. `next_at` was not."""

    first: datetime
    last: datetime
    count: int
    next_at: datetime

    @property
    def sentence(self) -> str:
        span = f"{self.count} scheduled times from {_utc(self.first)} to {_utc(self.last)} come"
        what = f"The scheduled time {_utc(self.first)} comes" if self.count == 1 else span
        been = "has" if self.count == 1 else "have"
        return (
            f"{what} again, as the clock was set back, and {been} been decided already;"
            f" the next that counts is {_utc(self.next_at)}."
        )


def repeated(schedule: Schedule, now: datetime, decided: Set[datetime]) -> tuple[Repeated | None, datetime]:
    """Return which of the times after `now` were decided already, up to the first that was not, and that one."""
    fire = first = schedule.next_after(now)
    last, count = first, 0
    while fire in decided:
        last, count = fire, count + 1
        fire = schedule.next_after(fire)
    return Repeated(first, last, count, fire) if count else None, fire


def next_fire(settings: ScheduleSettings | None, after: datetime, *, paused: bool) -> datetime | None:
    """Return when a schedule starts a run next, after a time; None where nothing starts by it."""
    if settings is None or not settings.active or paused:
        return None
    return Schedule.parse(settings.cron, settings.time_zone).next_after(after)


def next_fire_of(job: Job, now: datetime) -> datetime | None:
    """Return when a job starts by its schedule next, as is shown; None where nothing starts by it."""
    return next_fire(job.schedule, listed_after(job.next_fire_at, now), paused=job.paused)


def listed_after(next_fire_at: datetime | None, now: datetime) -> datetime:
    """Return the time after which scheduled times are to come: after a clock was set back, those before `next_fire_at`
    are decided.
    """
    return now if next_fire_at is None else max(now, next_fire_at - timedelta(microseconds=1))


def _before(schedule: Schedule, fire: datetime, floor: datetime) -> datetime:
    """The scheduled time before `fire`, not before `floor`."""
    return max(schedule.previous_or_at(fire - timedelta(microseconds=1)), floor)


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
