"""What the store does where clocks are set or differ, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.decisions import Verdict
from app.domain.job.records import Job
from app.store import builds, decisions, jobs, mails, runs, schedules, waiting
from app.store.claims import time_of_servers
from app.store.database import Database
from app.store.schedules import DueJob, Fired
from tests.support.samples import spec_of
from tests.support.stored import NOW, add_build, add_job, add_run

HOUR = timedelta(hours=1)
HOURLY = {
    "cron": "0 * * * *",
    "time_zone": "UTC",
    "active": True,
    "concurrency_policy": "allow",
    "starting_deadline_seconds": 100,
}


def decided(job: Job, at: datetime, repeated_from: datetime | None = None) -> Fired:
    due = DueJob(job.id, job.project_id, job.name)
    return Fired([due], "0 * * * *", at, Verdict.SKIPPED, "no_image", "Skipped.", repeated_from=repeated_from)


@pytest.fixture
def hourly(db: Database) -> Job:
    job = add_job(db)
    with db.write() as tx:
        return jobs.redefine(tx, job.id, spec_of("report", schedule=HOURLY), None, NOW)


def test_what_was_decided_at_a_time_to_come_is_found(db: Database, hourly: Job) -> None:
    first, second = NOW + HOUR, NOW + 2 * HOUR
    with db.write() as tx:
        for at in (first, second):
            schedules.write(tx, [decided(hourly, at)], at)
    with db.write() as tx:
        assert schedules.decided_ahead(tx, NOW) == {hourly.id: {first, second}}
        assert schedules.decided_ahead(tx, second) == {}
        due = DueJob(hourly.id, hourly.project_id, hourly.name)
        assert schedules.undecided(tx, [due], first) == []
        assert schedules.undecided(tx, [due], NOW) == [due]
        assert [each.jobs for each in schedules.ahead(tx, NOW)] == [[due]]
        assert waiting.latest(tx) == second


def test_times_that_come_again_are_stored_once(db: Database, hourly: Job) -> None:
    for seconds in (0, 10):
        with db.write() as tx:
            again = decided(hourly, NOW + HOUR, repeated_from=NOW)
            schedules.write_repeated(tx, [again], NOW + timedelta(seconds=seconds))
            schedules.write_repeated(tx, [], NOW)
    with db.read() as tx:
        (found,) = decisions.page(tx, limit=10)
        assert schedules.decided_ahead(tx, NOW - HOUR) == {}
    assert found.inputs["repeated_from"] == "2026-01-31T12:00:00Z"


def test_what_waits_is_brought_forward_by_what_the_clock_was_set_back(db: Database) -> None:
    job = add_job(db)
    was, now = NOW, NOW - HOUR
    run, due, soon = add_run(db, job), add_build(db, job), NOW + timedelta(seconds=20)
    later = add_build(db, job, key="late", now=soon, url="https://example.com/late")
    with db.write() as tx:
        waiting.bring_forward(tx, was, now)
        started, first = runs.claim(tx, "a", now), builds.claim(tx, "a", now)
        assert builds.claim(tx, "a", now) is None
        second = builds.claim(tx, "a", now + timedelta(seconds=20))
    assert [each and each.id for each in (started, first, second)] == [run, due, later]


def test_servers_are_known_alive_by_the_databases_clock_where_it_has_one(db: Database) -> None:
    with db.read() as tx:
        found = time_of_servers(tx, NOW)
    if db.is_sqlite:
        assert found == NOW
    else:
        assert abs(found - datetime.now(UTC)) < timedelta(minutes=5)


def test_mail_waits_no_longer_for_a_clock_that_is_set_back(db: Database) -> None:
    """One that is tried again in a minute is so, and what is being sent is stored as sent."""
    with db.write() as tx:
        mails.add(tx, NOW + HOUR, account="ada@example.com")
        claimed = mails.claim(tx, NOW + HOUR, NOW + HOUR + timedelta(minutes=1))
        waiting.bring_forward(tx, NOW + HOUR, NOW)
        assert claimed is not None
        assert mails.due_at(tx) == NOW + timedelta(minutes=1)
        mails.conclude(tx, claimed, "Taken.", due_at=None, sent_at=NOW)
        assert mails.due_at(tx) is None
