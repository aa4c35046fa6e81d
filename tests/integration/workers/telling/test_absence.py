"""Jobs without success for some hours: told once, until one succeeds."""

from __future__ import annotations

from app.commands.notification_targets import change_target, draft_of
from app.commands.pausing import pause, resume
from app.domain.job.records import Job
from app.domain.notifications import Rule
from app.domain.runs import Trigger, TriggerType
from app.engines.fake import Script
from app.store import jobs, runs
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.telling import Told

DAILY = {"kind": "cron", "schedule": {"cron": "0 3 * * *"}, "source": {"type": "image", "image": "busybox"}}


def run_once(place: Installation, server: Server, job: Job, exit_code: int) -> None:
    place.engine.script("*", Script(exit_code=exit_code))
    with place.db.write() as tx:
        runs.enqueue(
            tx,
            name=f"{job.name}-{place.names.suffix()}",
            project_id=job.project_id,
            job_id=job.id,
            trigger=Trigger(TriggerType.SCHEDULE, cause="It was due."),
            spec=job.spec.run,
            now=place.clock.now(),
            image="sha256:" + "a" * 64,
            digest="sha256:" + "a" * 64,
        )
    server.work()


def hours(told: Told, number: float) -> None:
    """They pass, with a look every few minutes."""
    for _ in range(int(number * 12)):
        told.wait(minutes=5)
        told.tell()


def test_an_absence_is_told_once_and_its_end(place: Installation, server: Server, told: Told) -> None:
    job = place.job("nightly", **DAILY)
    ops = told.target("ops", "absence", absence_hours=3)
    told.tell()
    hours(told, 2.5)
    assert told.headlines(ops) == []
    run_once(place, server, job, 1)
    hours(told, 5)
    assert told.headlines(ops) == [["nightly has not succeeded for 3 hours"]]
    (item,) = told.deliveries(ops)[0].items
    assert item.sentence == "No run of it has succeeded for 3 hours. None is known."
    run_once(place, server, job, 0)
    hours(told, 4)
    assert told.headlines(ops)[1:] == [
        ["nightly has succeeded again"],
        ["nightly has not succeeded for 3 hours"],
    ]
    assert "The last success was at 2026-01-31 " in told.deliveries(ops)[2].items[0].sentence


def test_who_is_told_of_recoveries_is_told_of_the_end_once(
    place: Installation, server: Server, told: Told
) -> None:
    job = place.job("nightly", **DAILY)
    ops = told.target("ops", "absence", "recovery", absence_hours=1)
    run_once(place, server, job, 1)
    hours(told, 2)
    run_once(place, server, job, 0)
    hours(told, 0.5)
    assert told.headlines(ops) == [["nightly has not succeeded for 1 hour"], ["nightly works again"]]


def test_a_success_counts_from_its_end(place: Installation, server: Server, told: Told) -> None:
    job = place.job("nightly", **DAILY)
    ops = told.target("ops", "absence", absence_hours=2)
    told.tell()
    for _ in range(4):
        hours(told, 1.5)
        run_once(place, server, job, 0)
    assert told.headlines(ops) == []


def test_only_jobs_that_a_schedule_starts_are_watched_unless_named(place: Installation, told: Told) -> None:
    place.job("nightly", **DAILY)
    place.job("by-hand", source=DAILY["source"])
    inactive = {**DAILY, "schedule": {"cron": "0 3 * * *", "active": False}}
    place.job("inactive", **inactive)
    ops = told.target("ops", "absence", absence_hours=1)
    named = told.target("named", "absence", absence_hours=1, jobs=["by-hand"])
    hours(told, 2)
    assert told.headlines(ops) == [["nightly has not succeeded for 1 hour"]]
    assert told.headlines(named) == [["by-hand has not succeeded for 1 hour"]]


def test_a_paused_job_is_not_waited_for_and_starts_anew_when_resumed(place: Installation, told: Told) -> None:
    job = place.job("nightly", **DAILY)
    ops = told.target("ops", "absence", absence_hours=3)
    hours(told, 2)
    set_paused(place, job, paused=True)
    hours(told, 4)
    set_paused(place, job, paused=False)
    hours(told, 2.5)
    assert told.headlines(ops) == []
    hours(told, 1)
    assert told.headlines(ops) == [["nightly has not succeeded for 3 hours"]]


def test_a_server_that_was_away_for_long_tells_it(place: Installation, server: Server, told: Told) -> None:
    job = place.job("nightly", **DAILY)
    ops = told.target("ops", "absence", absence_hours=24)
    run_once(place, server, job, 0)
    told.tell()
    told.wait(days=3)
    Told(place).tell()
    assert told.headlines(ops) == [["nightly has not succeeded for 24 hours"]]


def test_a_target_that_watches_no_more_forgets(place: Installation, told: Told) -> None:
    place.job("nightly", **DAILY)
    ops = told.target("ops", "absence", absence_hours=2)
    hours(told, 1)
    draft = draft_of(ops)
    with place.db.write() as tx:
        other = type(draft)(**{**vars(draft), "on": (Rule.FAILURE,), "absence_hours": None})
        change_target(tx, place.box, place.project, ops, other)
    hours(told, 3)
    assert told.headlines(ops) == []


def set_paused(place: Installation, job: Job, *, paused: bool) -> None:
    with place.db.write() as tx:
        now = jobs.with_id(tx, job.id)
        change = pause if paused else resume
        change(tx, place.names, now, who="ada", now=place.clock.now())
