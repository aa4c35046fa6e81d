"""`/metrics`: who may read it, that a parser of Prometheus's own takes it, and what it costs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.domain.decisions import EventType, Verdict
from app.domain.errors import TransientError
from app.domain.notifications import Item, State
from app.domain.room import Level, Room
from app.domain.runs import Outcome, Reason
from app.store import backups, decisions, deliveries, mails, notifications, projects
from app.store.database import StoreUnavailable, Tx
from app.store.deliveries import NewDelivery
from app.web.app import create_app
from app.web.exposition import exposition
from app.web.server_context import ServerContext
from tests.support.api import Caller, attempt_ends
from tests.support.backed_up import PLAN, back_up
from tests.support.client import Client
from tests.support.clock import START
from tests.support.counting import counted_calls
from tests.support.guide import chapter
from tests.support.stored import add_job, add_run

MOST_CALLS = 10_000  # of functions: some milliseconds
Samples = dict[tuple[str, ...], float]


@contextmanager
def nothing_running() -> Iterator[None]:
    yield


def scrape(context: ServerContext) -> Samples:
    """Every sample by its name and the values of its labels, in the order of their names."""
    found: Samples = {}
    for family in text_string_to_metric_families(exposition(context).decode()):
        for sample in family.samples:
            key = (sample.name, *(value for _, value in sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def names(context: ServerContext) -> set[str]:
    return {family.name for family in text_string_to_metric_families(exposition(context).decode())}


def decide(tx: Tx, event: str) -> None:
    decisions.record(
        tx,
        at=START,
        event=(EventType.PUSH, event),
        project_id=projects.named(tx, "acme").id,
        job_id=None,
        verdict=Verdict.SKIPPED,
        rule="ci_off",
        sentence="CI is off.",
    )


def answered(caller: Caller) -> Any:
    """What a caller of the API is answered at `/metrics`."""
    headers = {name: value for name, value in caller.headers.items() if name == "authorization"}
    return Client(create_app(caller.context, nothing_running)).get("/metrics", headers=headers)


def test_a_token_that_may_read_everything_reads_it(admin: Caller) -> None:
    for caller in (admin, admin.with_token("viewer")):
        answer = answered(caller)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "jobyard_engine_up 1.0\n" in answer.text


@pytest.mark.parametrize("token", [None, "wrong"])
def test_nobody_else_does(admin: Caller, context: ServerContext, token: str | None) -> None:
    answer = answered(Caller(context, token))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["detail"] == (
        "This needs an API token that may read: send Authorization: Bearer TOKEN."
    )


def test_who_is_limited_to_a_project_does_not(admin: Caller) -> None:
    answer = answered(admin.with_token("admin", "acme"))
    assert answer.status_code == 403
    assert answer.json()["detail"] == "This is not for admin-acme, who is limited to single projects."


def test_what_ends_is_counted_with_how_long_it_took(admin: Caller, context: ServerContext) -> None:
    clock: Any = context.clock
    path = "/projects/acme/jobs"
    admin.made(path, {"name": "once", "source": {"type": "image", "image": "busybox"}})
    for reason in (None, Reason.EXIT_NONZERO, None):
        admin.made(f"{path}/once/runs")
        assert scrape(context)["jobyard_open", "run", "queued"] == 1
        clock.advance(2)
        assert scrape(context)["jobyard_queue_lag_seconds", "runs"] == 2
        attempt_ends(context, Outcome(reason, exit_code=int(reason is not None)))
    found = scrape(context)
    assert found["jobyard_runs_finished_total", "", "succeeded"] == 2
    assert found["jobyard_runs_finished_total", "exit_nonzero", "failed"] == 1
    assert found["jobyard_run_wait_seconds_count", "succeeded"] == 2
    assert found["jobyard_run_wait_seconds_bucket", "1.0", "succeeded"] == 0
    assert found["jobyard_run_wait_seconds_bucket", "5.0", "succeeded"] == 2
    assert found["jobyard_run_wait_seconds_bucket", "+Inf", "succeeded"] == 2
    assert found["jobyard_run_wait_seconds_sum", "succeeded"] == 4
    assert found["jobyard_open", "run", "queued"] == 0
    assert found["jobyard_queue_lag_seconds", "runs"] == 0


def test_counters_do_not_fall_when_rows_go(admin: Caller, context: ServerContext) -> None:
    for number in range(3):
        with context.db.write() as tx:
            decide(tx, f"event-{number}")
    with context.db.write() as tx:
        tx.connection().exec_driver_sql("DELETE FROM decision")
    assert scrape(context)["jobyard_decisions_total", "ci_off", "skipped"] == 3


def test_what_is_not_committed_is_not_counted(admin: Caller, context: ServerContext) -> None:
    with suppress(TransientError), context.db.write() as tx:
        decide(tx, "event")
        raise TransientError("not now")
    assert ("jobyard_decisions_total", "ci_off", "skipped") not in scrape(context)


def test_deliveries_are_counted_as_they_come(admin: Caller, context: ServerContext) -> None:
    for guid, ignored in (("one", False), ("one", False), ("two", True)):
        context.inbox.put_and_wait(
            NewDelivery("github", guid, "push", ignored, ("project:1",), b"{}", "a/b", context.clock.now())
        )
    context.inbox.reject((), context.clock.now())
    context.clock.advance(3)  # type: ignore[attr-defined]
    found = scrape(context)
    assert found["jobyard_deliveries_total", "github", "received"] == 1
    assert found["jobyard_deliveries_total", "github", "repeated"] == 1
    assert found["jobyard_deliveries_total", "github", "ignored"] == 1
    assert found["jobyard_deliveries_rejected_total",] == 1
    assert found["jobyard_open", "delivery", "received"] == 1
    assert found["jobyard_queue_lag_seconds", "deliveries"] == 3
    with context.db.write() as tx:
        assert deliveries.settle(tx, 1, "processed", "Built.", context.clock.now())
        assert not deliveries.settle(tx, 1, "processed", "Built.", context.clock.now())
    assert scrape(context)["jobyard_deliveries_settled_total", "processed"] == 1


def test_the_disk_and_its_marks(context: ServerContext) -> None:
    gib = 2**30
    context.disk.rooms = {Path("/data"): Room(3 * gib, 90_000, 100 * gib, 10**7)}
    found = scrape(context)
    assert found["jobyard_disk_free_bytes", "/data"] == 3 * gib
    assert found["jobyard_disk_free_files", "/data"] == 90_000
    assert found["jobyard_disk_level", "/data"] == Level.LOW
    assert found["jobyard_disk_mark_bytes", "/data", "low"] == 5 * gib
    assert found["jobyard_disk_mark_bytes", "/data", "short"] == 2 * gib
    assert found["jobyard_disk_mark_files", "/data", "low"] == 50_000


def test_loops_say_when_they_came_round(context: ServerContext) -> None:
    for name, failed in (("runner-0", False), ("runner-1", True), ("intake", False)):
        context.turns.note(name, context.clock.now(), failed=failed)
    found = scrape(context)
    at = context.clock.now().timestamp()
    assert found["jobyard_loop_last_turn_timestamp_seconds", "runner"] == at
    assert found["jobyard_loop_last_turn_timestamp_seconds", "intake"] == at
    assert found["jobyard_loop_faults_total", "runner"] == 1
    assert found["jobyard_loop_faults_total", "intake"] == 0


def test_a_scheduled_time_that_is_not_decided_lags(admin: Caller, context: ServerContext) -> None:
    clock: Any = context.clock
    admin.made(
        "/projects/acme/jobs",
        {
            "name": "often",
            "kind": "cron",
            "schedule": {"cron": "* * * * *"},
            "source": {"type": "image", "image": "busybox"},
        },
    )
    assert scrape(context)["jobyard_schedule_lag_seconds",] == 0
    clock.advance(90)
    assert scrape(context)["jobyard_schedule_lag_seconds",] == 30


def test_without_the_database_the_rest_is_told(
    context: ServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable() -> Any:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(context.db, "read", unavailable)
    found = scrape(context)
    assert found["jobyard_database_up",] == 0
    assert found["jobyard_engine_up",] == 1
    assert not [key for key in found if key[0] == "jobyard_open"]


def steps_of_a_scrape(context: ServerContext) -> int:
    """The instructions of SQLite's own machine, in hundreds."""
    hundreds = 0

    def note() -> int:
        nonlocal hundreds
        hundreds += 1
        return 0

    with context.db.read() as tx:
        raw: Any = tx.connection().connection.driver_connection
    raw.set_progress_handler(note, 100)
    try:
        exposition(context)
    finally:
        raw.set_progress_handler(None, 0)
    return hundreds


def test_a_scrape_reads_as_little_with_thousands_of_runs(admin: Caller, context: ServerContext) -> None:
    add_run(context.db, add_job(context.db))
    exposition(context)
    few = steps_of_a_scrape(context)
    with context.db.write() as tx:
        run = tx.connection()
        run.exec_driver_sql("UPDATE run SET status = 'succeeded'")
        columns = [row[1] for row in run.exec_driver_sql("PRAGMA table_info(run)")]
        others = ", ".join(column for column in columns if column not in ("id", "name"))
        for _ in range(12):
            run.exec_driver_sql(
                f"INSERT INTO run (name, {others}) SELECT hex(randomblob(8)), {others} FROM run"
            )
        assert run.exec_driver_sql("SELECT count(*) FROM run").scalar_one() == 4096
    assert steps_of_a_scrape(context) <= few + 1


def test_a_scrape_does_little_beside(context: ServerContext) -> None:
    exposition(context)
    with counted_calls() as counted:
        exposition(context)
    assert counted.total() < MOST_CALLS, counted


def test_the_age_of_the_last_good_backup_is_told_where_they_are_scheduled(context: ServerContext) -> None:
    with_plan = replace(context, backups=PLAN)
    assert not [name for name in names(with_plan) if "backup" in name]
    with context.db.write() as tx:
        backups.begin(tx, START)
    assert [name for name in names(with_plan) if "backup" in name] == ["jobyard_backup_failures"]
    back_up(context)
    found = scrape(with_plan)
    assert found["jobyard_backup_age_seconds",] == 90
    assert found["jobyard_backup_size_bytes",] == 12
    assert found["jobyard_backup_failures",] == 1
    assert not [name for name in names(context) if "backup" in name]


def test_the_guide_names_what_there_is(context: ServerContext) -> None:
    said = set(re.findall(r"`(jobyard_\w+)`", chapter("metrics")))
    back_up(context)
    there = {name for name in names(replace(context, backups=PLAN)) if name.startswith("jobyard_")}
    assert said == there


def test_what_is_sent_is_counted_and_what_is_due_is_told(admin: Caller, context: ServerContext) -> None:
    target = {"name": "chat", "kind": "slack", "address": "https://hooks.example.com/x", "on": ["failure"]}
    made = admin.made("/projects/acme/notification-targets", target)
    item = Item(rule="failure", state=State.FAILED, headline="A run failed.", sentence="Exit 1.", at=START)
    with context.db.write() as tx:
        waiting = notifications.add(tx, made["id"], item, START, due_at=START)
        mails.add(tx, START, account="ada", link="link")
    context.clock.advance(5)  # type: ignore[attr-defined]
    found = scrape(context)
    for kind in ("notification", "mail"):
        assert found["jobyard_open", kind, "due"] == 1
    assert found["jobyard_open", "commit_status", "due"] == 0
    assert found["jobyard_queue_lag_seconds", "notifications"] == 5
    assert found["jobyard_queue_lag_seconds", "mails"] == 5
    now = context.clock.now()
    with context.db.write() as tx:
        claimed = notifications.claim(tx, waiting.id, now, now)
        assert claimed is not None
        assert notifications.conclude(tx, claimed, "Sent.", kind="slack", due_at=None, sent_at=now)
        mail = mails.claim(tx, now, now)
        assert mail is not None
        mails.conclude(tx, mail, "No such address.", due_at=None)
    found = scrape(context)
    assert found["jobyard_notifications_total", "slack", "sent"] == 1
    assert found["jobyard_mails_total", "failed"] == 1
    assert found["jobyard_open", "notification", "due"] == 0
