"""Scheduled times become runs, skips and missed decisions: one loop for any number of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from app.domain.concurrency import Admission, admit
from app.domain.decisions import Verdict
from app.domain.fires import Due, due
from app.domain.jobs import ConcurrencyPolicy, ScheduleSettings
from app.domain.runs import Reason
from app.domain.schedule import Schedule
from app.orchestration.ports import Clock, Names
from app.store import runs, schedules
from app.store.database import Database, Tx
from app.store.schedules import DueJob, Fired

BATCH = 1000  # jobs a transaction


class _Owed:
    """What is owed at one moment, worked out once for all jobs with the same schedule."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._known: dict[tuple[ScheduleSettings, datetime], Due] = {}

    def __call__(self, job: DueJob) -> Due:
        key = (job.schedule, job.next_fire_at)
        known = self._known.get(key)
        if known is None:
            schedule = Schedule.parse(job.schedule.cron, job.schedule.time_zone)
            deadline = timedelta(seconds=job.schedule.starting_deadline_seconds)
            known = self._known[key] = due(schedule, job.next_fire_at, self._now, deadline)
        return known


@dataclass(frozen=True)
class Scheduler:
    """Decides due times in batches; each batch commits whole, with when to look at its jobs again."""

    db: Database
    clock: Clock
    names: Names

    def step(self) -> bool:
        """Decide one batch; False if nothing is due."""
        with self.db.write() as tx:
            now = self.clock.now()
            batch = schedules.due(tx, now, BATCH)
            if not batch:
                return False
            limited = [
                job.id for job in batch if job.schedule.concurrency_policy is not ConcurrencyPolicy.ALLOW
            ]
            alive = schedules.alive(tx, limited)
            owed_for = _Owed(now)
            fired: list[Fired] = []
            next_at: dict[int, datetime | None] = {}
            for job in batch:
                owed = owed_for(job)
                next_at[job.id] = owed.next_at
                admission = admit(job.schedule.concurrency_policy, alive.get(job.id, []))
                fired += self._fired(tx, job, owed, admission, now)
            schedules.write(tx, fired, now)
            schedules.set_next(tx, next_at)
        return True

    def _fired(self, tx: Tx, job: DueJob, owed: Due, admission: Admission, now: datetime) -> list[Fired]:
        results = []
        if owed.missed is not None:
            gap = owed.missed
            results.append(
                Fired(job, gap.last, Verdict.MISSED, "missed", gap.sentence, missed_from=gap.first)
            )
        if owed.fire_at is not None:
            results.append(self._fire(tx, job, owed.fire_at, admission, now))
        return results

    def _fire(self, tx: Tx, job: DueJob, fire_at: datetime, admission: Admission, now: datetime) -> Fired:
        due_for = _due_for(fire_at)
        if not job.has_image:
            sentence = f"{due_for}, but the job has no image yet: build it first."
            return Fired(job, fire_at, Verdict.SKIPPED, "no_image", sentence)
        if not admission.runs:
            sentence = f"{due_for}: {admission.why}."
            return Fired(job, fire_at, Verdict.SKIPPED, "concurrency:forbid", sentence)
        name = f"{job.name}-{self.names.suffix()}"
        for run_id in admission.replaces:
            runs.cancel(tx, run_id, Reason.REPLACED, f"Replaced by {name}.", now)
        if admission.replaces:
            sentence = f"{due_for}; {admission.why}."
            return Fired(job, fire_at, Verdict.REPLACED, "concurrency:replace", sentence, name, alone=True)
        return Fired(job, fire_at, Verdict.STARTED, "schedule", f"{due_for}.", name)


@lru_cache(maxsize=1000)
def _due_for(fire_at: datetime) -> str:
    return f"Scheduled for {fire_at:%Y-%m-%d %H:%M} UTC"
