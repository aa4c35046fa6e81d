"""The clock is set back: nothing starts twice, nothing is silent without a decision, nothing waits for longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.runs import Outcome, Reason
from app.store import runs
from app.web.server_context import ServerContext
from app.workers.clock_changes import ClockChanges
from app.workers.scheduler import Scheduler
from tests.support.api import Caller, attempt_ends

JOBS = "/projects/acme/jobs"
HOUR = timedelta(hours=1)


class Server:
    """Its scheduler, looking at the clock before each step as the loop does."""

    def __init__(self, context: ServerContext) -> None:
        self.clock: Any = context.clock
        self.changes = ClockChanges(context.db, context.clock)
        self.scheduler = Scheduler(context.db, context.clock, context.names, self.changes)
        self.look()

    def look(self) -> None:
        self.changes.step()
        while self.scheduler.step():
            pass

    def pass_minutes(self, minutes: int) -> None:
        for _ in range(minutes):
            self.clock.at += timedelta(minutes=1)
            self.look()


@pytest.fixture
def job(admin: Caller) -> str:
    source = {"type": "image", "image": "busybox"}
    admin.made(
        JOBS, {"name": "often", "kind": "cron", "schedule": {"cron": "*/10 * * * *"}, "source": source}
    )
    return f"{JOBS}/often"


def started(admin: Caller) -> list[str]:
    found = [each["trigger"]["scheduled_for"] for each in admin.got(f"{JOBS}/often/runs", limit=100)["items"]]
    assert len(found) == len(set(found)), "a scheduled time has started twice"
    return sorted(found)


def repeats(admin: Caller) -> list[Any]:
    found = admin.got("/decisions", limit=100)["items"]
    return [each for each in found if each["rule"] == "clock_set_back"]


@pytest.mark.parametrize("restarted", [True, False])
def test_times_that_come_again_are_skipped_with_one_decision(
    admin: Caller, context: ServerContext, job: str, *, restarted: bool
) -> None:
    server = Server(context)
    server.pass_minutes(60)
    assert len(started(admin)) == 6
    server.clock.at -= HOUR
    if restarted:
        server = Server(context)
    server.look()
    server.look()
    (skipped,) = repeats(admin)
    assert skipped["verdict"] == "skipped"
    assert skipped["sentence"] == (
        "6 scheduled times from 2026-01-31 12:10 UTC to 2026-01-31 13:00 UTC come again, as the clock was set back, "
        "and have been decided already; the next that counts is 2026-01-31 13:10 UTC."
    )
    assert admin.got(job)["next_fire_at"] == "2026-01-31T13:10:00Z"
    assert admin.got(f"{job}/schedule")["fires"][0]["at"] == "2026-01-31T13:10:00Z"
    server.pass_minutes(70)
    assert len(started(admin)) == 7
    assert len(repeats(admin)) == 1


def test_a_job_changed_while_times_come_again_starts_none_of_them_twice(
    admin: Caller, context: ServerContext, job: str
) -> None:
    server = Server(context)
    server.pass_minutes(60)
    server.clock.at -= HOUR
    server.look()
    admin.made(f"{job}/pause")
    admin.made(f"{job}/resume")
    server.clock.at += timedelta(minutes=10)
    server.scheduler.step()
    assert len(started(admin)) == 6
    server.look()
    assert admin.got(job)["next_fire_at"] == "2026-01-31T13:10:00Z"


def test_a_clock_that_was_far_ahead_leaves_no_schedule_silent(
    admin: Caller, context: ServerContext, job: str
) -> None:
    server = Server(context)
    server.pass_minutes(10)
    server.clock.at += timedelta(days=365)
    server.look()
    server.clock.at -= timedelta(days=365)
    server.look()
    assert admin.got(job)["next_fire_at"] == "2026-01-31T12:20:00Z"
    before = len(started(admin))
    server.pass_minutes(30)
    assert len(started(admin)) == before + 3


def test_what_is_queued_or_waits_to_be_tried_again_waits_no_longer(
    admin: Caller, context: ServerContext, job: str
) -> None:
    server = Server(context)
    admin.made(f"{job}/runs", {"retry_limit": 1})
    attempt_ends(context, Outcome(Reason.EXIT_NONZERO, 1))  # tried again in a while
    admin.made(f"{job}/runs")
    later = [each["available_at"] for each in admin.got(f"{job}/runs")["items"] if each["attempts"]]
    wait = datetime.fromisoformat(later[0]) - context.clock.now()
    assert wait > timedelta(0)
    server.look()
    server.clock.at -= HOUR
    server.look()

    def claimed() -> int:
        with context.db.write() as tx:
            count = 0
            while runs.claim(tx, "tests", context.clock.now()):
                count += 1
            return count

    assert claimed() == 1
    server.clock.at += wait
    assert claimed() == 1


def test_small_corrections_change_nothing(admin: Caller, context: ServerContext, job: str) -> None:
    server = Server(context)
    server.pass_minutes(10)
    server.clock.at -= timedelta(milliseconds=500)
    server.look()
    assert repeats(admin) == []
    assert admin.got(job)["next_fire_at"] == "2026-01-31T12:20:00Z"


def test_another_servers_clock_that_is_a_little_ahead_is_no_change(
    admin: Caller, context: ServerContext, job: str
) -> None:
    Server(context).pass_minutes(10)
    clock: Any = context.clock
    clock.at -= timedelta(seconds=60)
    Server(context)
    assert repeats(admin) == []
    assert len(started(admin)) == 1
    clock.at = datetime(2026, 1, 31, 12, 20, tzinfo=UTC)
    Server(context)
    assert len(started(admin)) == 2


def test_a_clock_set_back_by_less_than_passed_since_the_last_look_is_noticed(
    admin: Caller, context: ServerContext, job: str
) -> None:
    server = Server(context)
    server.pass_minutes(11)
    assert len(started(admin)) == 1
    server.clock.advance(minutes=5)
    server.clock.set_by(-120)
    assert not server.changes.is_repeating(server.clock.now())
    server.look()
    assert server.changes.is_repeating(server.clock.now())
