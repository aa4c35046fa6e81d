"""Scheduled times become runs, skips and missed decisions: one loop for any number of jobs."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.concurrency import Admission, admit
from app.domain.decisions import Verdict
from app.domain.fires import Due, due
from app.domain.job.spec import ConcurrencyPolicy
from app.domain.quotas import QUEUE_IS_FULL
from app.domain.runs import Reason
from app.domain.schedule import Schedule
from app.runtime.ports import Clock, Names
from app.store import quotas, runs, schedules
from app.store.database import Database, Tx
from app.store.schedules import DueJob, DueJobs, Fired
from app.workers.clock_changes import ClockChanges

log = logging.getLogger(__name__)
LOOK_AGAIN = timedelta(hours=1)  # at a schedule that met a fault of ours
BATCH = 2000  # jobs a transaction
ALLOW = ConcurrencyPolicy.ALLOW
Alive = Mapping[int, Sequence[tuple[int, str]]]  # by job, its live runs as (id, name)
Room = dict[int, int]  # by project, how many more runs it may have queued; without a limit it is not there


@dataclass(frozen=True)
class Scheduler:
    """Decides due times in batches; each batch commits whole, with when to look at its jobs again."""

    db: Database
    clock: Clock
    names: Names
    changes: ClockChanges

    def step(self) -> bool:
        """Decide one batch; False if nothing is due."""
        with self.db.write() as tx:
            now = self.clock.now()
            batch = schedules.due(tx, now, BATCH)
            if not batch:
                return False
            limited = [each for each in batch if each.schedule.concurrency_policy is not ALLOW]
            alive = schedules.alive(tx, [job.id for each in limited for job in each.jobs])
            fired: list[Fired] = []
            room = quotas.room_in_queue(tx, {job.project_id for each in batch for job in each.jobs})
            next_at: dict[datetime, list[int]] = defaultdict(list)
            for each in batch:
                try:
                    owed = _owed(each, now)
                except Exception:  # the other jobs' times go on
                    log.exception("the schedule %s could not be worked out", each.schedule.cron)
                    next_at[now + LOOK_AGAIN] += [job.id for job in each.jobs]
                    fired.append(_unknown(each))
                    continue
                next_at[owed.next_at] += [job.id for job in each.jobs]
                fired += self._fired(tx, self._undecided(tx, each, owed, now), owed, alive, room, now)
            schedules.write(tx, fired, now)
            schedules.set_next(tx, next_at)
        return True

    def _undecided(self, tx: Tx, each: DueJobs, owed: Due, now: datetime) -> DueJobs:
        """Return the jobs without those that decided the same before the clock was set back."""
        jobs = each.jobs
        if owed.missed is not None:
            jobs = self.changes.undecided(tx, jobs, owed.missed.last, now)
        if owed.fire_at is not None:
            jobs = self.changes.undecided(tx, jobs, owed.fire_at, now)
        return replace(each, jobs=jobs)

    def _fired(
        self, tx: Tx, due_jobs: DueJobs, owed: Due, alive: Alive, room: Room, now: datetime
    ) -> Iterator[Fired]:
        cron, jobs = due_jobs.schedule.cron, due_jobs.jobs
        if not jobs:
            return
        if owed.missed is not None:
            gap = owed.missed
            yield Fired(jobs, cron, gap.last, Verdict.MISSED, "missed", gap.sentence, missed_from=gap.first)
        if owed.fire_at is None:
            return
        if not due_jobs.has_image:
            sentence = (
                f"{_due_for(owed.fire_at)}: no image is deployed to the job, so there is nothing to run."
            )
            yield Fired(jobs, cron, owed.fire_at, Verdict.SKIPPED, "no_image", sentence)
            return
        free: list[DueJob] = []
        for job in jobs:
            admission = admit(due_jobs.schedule.concurrency_policy, alive.get(job.id, ()))
            if admission.runs and not _takes_room(room, job):
                why = quotas.queue_is_full(tx, job.project_id)
                admission = Admission(runs=False, why=why, rule=QUEUE_IS_FULL)
            if admission.runs and job.id not in alive:
                free.append(job)
            else:
                yield self._beside_others(tx, job, cron, owed.fire_at, admission, now)
        if free:
            sentence = f"{_due_for(owed.fire_at)}."
            names = [self._name(job) for job in free]
            yield Fired(free, cron, owed.fire_at, Verdict.STARTED, "schedule", sentence, names)

    def _beside_others(
        self, tx: Tx, job: DueJob, cron: str, fire_at: datetime, admission: Admission, now: datetime
    ) -> Fired:
        if not admission.runs:
            sentence = f"{_due_for(fire_at)}: {admission.why}."
            return Fired([job], cron, fire_at, Verdict.SKIPPED, admission.rule, sentence)
        name = self._name(job)
        for run_id in admission.replaces:
            runs.cancel(tx, runs.with_id(tx, run_id), Reason.REPLACED, f"Replaced by {name}.", now)
        sentence = f"{_due_for(fire_at)}; {admission.why}."
        return Fired(
            [job], cron, fire_at, Verdict.REPLACED, "concurrency:replace", sentence, [name], alone=True
        )

    def _name(self, job: DueJob) -> str:
        return f"{job.name}-{self.names.suffix()}"


def _takes_room(room: Room, job: DueJob) -> bool:
    """Whether one more run of the job's project may be queued; then there is room for one less."""
    left = room.get(job.project_id)
    if left is None:
        return True
    room[job.project_id] = left - 1
    return left > 0


def _owed(jobs: DueJobs, now: datetime) -> Due:
    schedule = Schedule.parse(jobs.schedule.cron, jobs.schedule.time_zone)
    return due(schedule, jobs.next_fire_at, now, timedelta(seconds=jobs.schedule.starting_deadline_seconds))


def _unknown(jobs: DueJobs) -> Fired:
    """Return what is stored where we fail to tell which times are due."""
    sentence = f"{_due_for(jobs.next_fire_at)}, but Jobyard failed to work the schedule out; the server's log has more."
    return Fired(jobs.jobs, jobs.schedule.cron, jobs.next_fire_at, Verdict.SKIPPED, "fault", sentence)


def _due_for(fire_at: datetime) -> str:
    return f"Scheduled for {fire_at:%Y-%m-%d %H:%M} UTC"
