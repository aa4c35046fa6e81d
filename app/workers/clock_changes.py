"""What becomes of waiting work and of schedules when the clock is set back; set forward, times are just missed."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.decisions import Verdict
from app.domain.errors import InvalidValue
from app.domain.fires import Repeated, repeated
from app.domain.schedule import Schedule
from app.runtime.ports import Clock
from app.store import schedules, waiting
from app.store.database import Database, Tx
from app.store.schedules import DueJob, Fired

log = logging.getLogger(__name__)
STEP = timedelta(seconds=1)  # that a clock may be corrected by without anything to do
SKEW = timedelta(minutes=2)  # that the clocks of servers of one database may differ by
LOOK_AGAIN = timedelta(seconds=10)  # at schedules, which may be changed meanwhile


@dataclass
class ClockChanges:
    """Looks at the clock now and then. Until it shows again what it had shown, scheduled times may come again."""

    db: Database
    clock: Clock
    _latest: datetime | None = None
    _ticks: float = 0.0  # when that was seen
    _repeats_until: datetime | None = None
    _looked_at: datetime | None = None

    def step(self) -> None:
        now, ticks = self.clock.now(), self.clock.ticks()
        if self._latest is None:
            expected = self._known_at_start(now)
        else:
            expected = self._latest + timedelta(seconds=max(0.0, ticks - self._ticks))
        if expected - now > STEP:
            self._set_back(expected, now)
        self._latest, self._ticks = now, ticks
        if self.is_repeating(now) and (self._looked_at is None or now - self._looked_at >= LOOK_AGAIN):
            self._looked_at = now
            with self.db.write() as tx:
                self._skip_repeated(tx, now)

    @property
    def seconds_to_next_look(self) -> float | None:
        """In how many seconds a look is due whatever else happens; None if none is."""
        return LOOK_AGAIN.total_seconds() if self.is_repeating(self.clock.now()) else None

    def is_repeating(self, now: datetime) -> bool:
        return self._repeats_until is not None and now <= self._repeats_until

    def undecided(self, tx: Tx, jobs: Sequence[DueJob], at: datetime, now: datetime) -> Sequence[DueJob]:
        """The jobs of which this scheduled time has not been decided before the clock was set back."""
        return schedules.undecided(tx, jobs, at) if self.is_repeating(now) else jobs

    def _known_at_start(self, now: datetime) -> datetime:
        with self.db.read() as tx:
            known = waiting.latest(tx)
        return known if known is not None and known - now > SKEW else now

    def _set_back(self, was: datetime, now: datetime) -> None:
        log.warning("the clock was set back by %.0f s, to %s", (was - now).total_seconds(), now.isoformat())
        self._repeats_until = max(was, self._repeats_until or was) + SKEW
        self._looked_at = None
        with self.db.write() as tx:
            waiting.bring_forward(tx, was, now)

    def _skip_repeated(self, tx: Tx, now: datetime) -> None:
        decided = schedules.decided_ahead(tx, now)
        next_at: dict[datetime, list[int]] = defaultdict(list)
        skipped: list[Fired] = []
        for each in schedules.ahead(tx, now):
            try:
                schedule = Schedule.parse(each.schedule.cron, each.schedule.time_zone)
            except InvalidValue:  # the scheduler stores that it can't be worked out
                continue
            for job in each.jobs:
                again, fire_at = repeated(schedule, now, decided.get(job.id, frozenset()))
                if fire_at != each.next_fire_at:
                    next_at[fire_at].append(job.id)
                if again is not None:
                    skipped.append(_skipped(job, each.schedule.cron, again))
        schedules.set_next(tx, next_at)
        schedules.write_repeated(tx, skipped, now)


def _skipped(job: DueJob, cron: str, again: Repeated) -> Fired:
    return Fired(
        [job],
        cron,
        again.last,
        Verdict.SKIPPED,
        "clock_set_back",
        again.sentence,
        repeated_from=again.first,
    )
