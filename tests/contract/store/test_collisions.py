"""Two at once: servers that migrate the same database, and runs that draw the same name."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy.exc import IntegrityError

from app.domain.decisions import Verdict
from app.domain.job.records import Job
from app.store import decisions, jobs, runs, schedules
from app.store.database import Database
from app.store.schedules import DueJobs, Fired
from tests.support.samples import spec_of
from tests.support.stored import NOW, add_job, add_run

SERVERS = 4
HOURLY = {
    "cron": "0 * * * *",
    "time_zone": "UTC",
    "active": True,
    "concurrency_policy": "allow",
    "starting_deadline_seconds": 100,
}


def test_servers_that_start_together_migrate_once(make: Callable[..., str]) -> None:
    url, ready = make(empty=True), Barrier(SERVERS)

    def start(_number: int) -> None:
        db = Database(url)
        ready.wait(10)
        db.migrate()
        db.check()
        db.close()

    with ThreadPoolExecutor(SERVERS) as servers:
        assert list(servers.map(start, range(SERVERS))) == [None] * SERVERS


def test_a_run_whose_name_is_taken_gets_a_number(db: Database, job: Job) -> None:
    ids = [add_run(db, job, name="report-abcde") for _ in range(3)]
    with db.read() as tx:
        names = [runs.with_id(tx, run_id).name for run_id in ids]
    assert names == ["report-abcde", "report-abcde-2", "report-abcde-3"]


def test_what_else_is_wrong_with_a_run_is_no_matter_of_its_name(db: Database, job: Job) -> None:
    with pytest.raises(IntegrityError):
        add_run(db, replace(job, id=job.id + 1))


def test_scheduled_runs_whose_names_are_taken_start_all_the_same(db: Database) -> None:
    """By runs that exist, and by one another: jobs of two projects may have the same name."""
    scheduled = [scheduled_job(db, project) for project in ("reports", "invoices")]
    first = add_run(db, scheduled[0], name="report-abcde")
    with db.write() as tx:
        due = schedules.due(tx, NOW + timedelta(hours=2), 10)
        schedules.write(tx, [fired(each) for each in due], NOW)
    with db.read() as tx:
        started = {run.name: run for run in runs.page(tx, limit=10) if run.id != first}
        told = {each.run_id: each.project for each in decisions.page(tx, limit=10)}
    assert set(started) == {"report-abcde-2", "report-abcde-3"}
    assert told == {run.id: run.project for run in started.values()}


def scheduled_job(db: Database, project: str) -> Job:
    job = add_job(db, "report", project)
    with db.write() as tx:
        return jobs.redefine(tx, job.id, spec_of("report", schedule=HOURLY), None, NOW)


def fired(due: DueJobs) -> Fired:
    names = ["report-abcde"] * len(due.jobs)
    return Fired(
        due.jobs, due.schedule.cron, due.next_fire_at, Verdict.STARTED, "schedule", "Scheduled.", names
    )
