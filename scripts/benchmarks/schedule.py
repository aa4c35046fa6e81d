"""`schedule`: ten thousand jobs due in the same minute, over APScheduler's memory store doing nothing.

All are cron jobs of every minute. Ours ends with a durable queued run and a decision for every job, and its next time;
theirs calls an empty function and works out the next time. Lateness is the time from a job's due moment to its commit,
or to its call. APScheduler gets 300 s of grace, since with its default it misses a third of them.
"""

from __future__ import annotations

import gc
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from sqlalchemy import func, insert, select

from app.domain.job.codec import job_from_json
from app.store import jobs, projects
from app.store.database import Database
from app.store.schema import JobRow, RunRow
from app.system import RandomNames
from app.workers.clock_changes import ClockChanges
from app.workers.scheduler import Scheduler

JOBS = 10_000
ROUNDS = 3
GOAL = 0.25
BEGAN = datetime(2026, 6, 1, 12, 0, 30, tzinfo=UTC)
SPEC = job_from_json(
    {
        "name": "job-0",
        "source": {"type": "image", "image": "busybox"},
        "ci_enabled": True,
        "cd_enabled": True,
        "run_on_image_change": "never",
        "kind": "cron",
        "schedule": {"cron": "* * * * *", "concurrency_policy": "allow"},
    }
)


class Minutes:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = BEGAN

    def now(self) -> datetime:
        return self.at


def run() -> dict[str, Any]:
    """Lateness in seconds of both sides, p99, and the ratio of their medians over the rounds."""
    with tempfile.TemporaryDirectory() as directory:
        ours_side = _Ours(Path(directory))
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(ours_side.p99())
            theirs.append(_apscheduler_p99())
        missed = ours_side.missed()
    return {
        "benchmark": "schedule",
        "n": ROUNDS,
        "jobs": JOBS,
        "missed": missed,
        "ours": f"{median(ours):.2f} s p99",
        "theirs": f"{median(theirs):.2f} s p99",
        "rounds": [
            {"ours_s": round(a, 3), "theirs_s": round(b, 3)} for a, b in zip(ours, theirs, strict=True)
        ],
        "ratio": round(median(a / b for a, b in zip(ours, theirs, strict=True)), 3),
        "goal": GOAL,
    }


class _Ours:
    def __init__(self, directory: Path) -> None:
        self._db = Database(f"sqlite:///{directory / 'jobyard.db'}")
        self._db.migrate()
        self._clock = Minutes()
        self._minutes = 0
        with self._db.write() as tx:
            project = projects.create(tx, "bench", None, BEGAN)
            first = jobs.create(tx, project.id, SPEC, None, BEGAN)
            row = tx.get_one(JobRow, first.id)
            like = {name: getattr(row, name) for name in JobRow.model_fields if name not in ("id", "name")}
            others = [{**like, "name": f"job-{number}"} for number in range(1, JOBS)]
            tx.connection().execute(insert(JobRow), others)
        changes = ClockChanges(self._db, self._clock)
        self._scheduler = Scheduler(self._db, self._clock, RandomNames(), changes)
        gc.freeze()  # as the server does when it has started

    def p99(self) -> float:
        self._db.checkpoint()  # as the server does every ten seconds
        self._clock.at += timedelta(minutes=1)
        self._minutes += 1
        began = time.perf_counter()
        committed: list[float] = []
        while self._scheduler.step():
            with self._db.read() as tx:
                done = tx.connection().execute(select(func.count()).select_from(RunRow)).scalar_one()
            new = done - (self._minutes - 1) * JOBS - len(committed)
            committed += [time.perf_counter() - began] * new
        return quantiles(committed, n=100)[98]

    def missed(self) -> int:
        with self._db.read() as tx:
            return (
                self._minutes * JOBS
                - tx.connection().execute(select(func.count()).select_from(RunRow)).scalar_one()
            )


def _apscheduler_p99() -> float:
    due = datetime.now(UTC) + timedelta(seconds=8)  # adding ten thousand jobs takes a while
    late: list[float] = []
    all_called = threading.Event()

    def call() -> None:
        late.append((datetime.now(UTC) - due).total_seconds())
        if len(late) == JOBS:
            all_called.set()

    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(4)}, job_defaults={"misfire_grace_time": 300}
    )
    scheduler.start(paused=True)
    for _ in range(JOBS):
        every_minute = CronTrigger.from_crontab("* * * * *", timezone=UTC)
        scheduler.add_job(call, every_minute, next_run_time=due)
    scheduler.resume()
    assert all_called.wait(120), f"only {len(late)} of {JOBS} were called"
    scheduler.shutdown(wait=False)
    return quantiles(late, n=100)[98]
