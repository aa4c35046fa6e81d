"""Stored and shown sentences are true in every situation that makes them; each row makes its situation."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.commands.runs import cancel_run, enqueue_run
from app.domain.runs import Outcome, Reason, RunStatus, Trigger, TriggerType, no_answer
from app.engines.fake import Script
from app.store import run_attempts, runs
from app.web.pages.formatting import starts
from app.workers.clock_changes import ClockChanges
from app.workers.scheduler import Scheduler
from tests.support.api import Caller
from tests.support.cli import Cli, point_at, serving
from tests.support.client import Client
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.project import ROOT
from tests.support.seed import PASSWORD, World, world
from tests.support.server_context import ADMIN_TOKEN

A, B, C = (commit(letter) for letter in "abc")
JOBS = "/projects/acme/jobs"


class Place(Installation):
    """With the loop that schedules, and a server's others."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.server_ = self.server("one")
        self.scheduler = Scheduler(self.db, self.clock, self.names, ClockChanges(self.db, self.clock))

    def cron(self, *, built: bool = True, **schedule: Any) -> None:
        """A job that is due every minute, and has an image unless it is not `built`."""
        settings = {
            "cron": "* * * * *",
            "time_zone": "UTC",
            "active": True,
            "concurrency_policy": "allow",
            "starting_deadline_seconds": 100,
            **schedule,
        }
        changes: dict[str, Any] = {} if built else {"source": {"type": "none"}}
        self.job(kind="cron", schedule=settings, run_on_image_change="never", **changes)
        if built:
            self.push(A, B)
            self.server_.work()

    def after(self, *seconds: float) -> list[str]:
        """What is said when the scheduler looks, each time after so many seconds."""
        known = len(self.decisions())
        for each in seconds:
            self.clock.advance(each)
            while self.scheduler.step():
                pass
        return [decision.sentence for decision in self.decisions()[known:]]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "place")
    yield made
    made.close()


# schedules


def test_a_scheduled_time_says_for_when(place: Place) -> None:
    place.cron()
    assert place.after(60) == ["Scheduled for 2026-01-31 12:01 UTC."]


def test_a_gap_says_that_the_newest_time_counts_whether_or_not_it_runs(place: Place) -> None:
    place.cron(concurrency_policy="forbid")
    place.engine.script("*", Script(exit_code=None))
    place.after(60)
    alive = place.runs()[0].name
    gap, newest = place.after(180)
    assert gap == (
        "2 scheduled times from 2026-01-31 12:02 UTC to 2026-01-31 12:03 UTC passed before the server could act: "
        "of all that passed, only the newest still counts."
    )
    assert newest == f"Scheduled for 2026-01-31 12:04 UTC: {alive} is not over yet and the policy is forbid."


def test_a_gap_that_is_too_old_says_so(place: Place) -> None:
    place.cron(starting_deadline_seconds=10)
    (said,) = place.after(100)
    assert said == (
        "The scheduled time 2026-01-31 12:01 UTC passed before the server could act, and by then the starting "
        "deadline of 10 s had passed as well."
    )


def test_a_scheduled_time_without_an_image_promises_no_remedy_that_is_none(place: Place) -> None:
    place.cron(built=False)
    assert place.after(60) == [
        "Scheduled for 2026-01-31 12:01 UTC: no image is deployed to the job, so there is nothing to run."
    ]


def test_a_run_that_only_waits_is_named_as_not_over(place: Place) -> None:
    """It is queued: nothing of it is going."""
    place.cron(concurrency_policy="forbid")
    place.after(60)
    (waiting,) = place.runs()
    assert waiting.status is RunStatus.QUEUED
    assert place.after(60) == [
        f"Scheduled for 2026-01-31 12:02 UTC: {waiting.name} is not over yet and the policy is forbid."
    ]


def test_a_replacement_names_both_runs(place: Place) -> None:
    place.cron(concurrency_policy="replace")
    place.after(60)
    (old,) = place.runs()
    assert place.after(60) == [f"Scheduled for 2026-01-31 12:02 UTC; replaces {old.name}."]
    replaced, new = place.runs()
    assert (replaced.reason, replaced.sentence) == (Reason.REPLACED, f"Replaced by {new.name}.")


def test_a_replacement_by_a_new_image_names_both_runs(place: Place) -> None:
    place.job(
        kind="cron",
        schedule={"cron": "0 0 1 1 *", "time_zone": "UTC", "active": True, "concurrency_policy": "replace"},
        run_on_image_change="always",
    )
    place.push(A, B)
    place.server_.intake.step()
    place.server_.builder.step()
    place.push(B, C)
    place.server_.intake.step()
    place.server_.builder.step()
    old, new = place.runs()
    said = place.decisions()[-1].sentence
    assert said.endswith(f"run on image change is always; replaces {old.name}.")
    assert new.trigger.cause == said


# runs


def failing(place: Place, **job: Any) -> str:
    """What is said of a run after its first attempt, which fails."""
    place.engine.script("*", Script(exit_code=1))
    place.job(retry_limit=3, retry_backoff="exponential", **job)
    place.push(A, B)
    server = place.server_
    while server.intake.step() or server.builder.step():
        pass
    server.runner.step()
    return place.runs()[0].sentence


def test_a_retry_says_when(place: Place) -> None:
    assert failing(place) == "Exited with code 1 — retry 1 of 3 in 10 s."


def test_a_retry_that_the_time_limit_forestalls_is_not_promised(place: Place) -> None:
    assert failing(place, time_limit_seconds=5) == (
        "Exited with code 1 — the time limit passes before retry 1 of 3, 10 s from now."
    )
    place.server_.work()
    (run,) = place.runs()
    assert (run.attempts, run.sentence) == (1, "The time limit of 5 s passed; 2 of 3 retries left unused.")


def test_a_fault_of_ours_is_no_stop_of_the_server(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.job()
    place.push(A, B)
    server = place.server_
    while server.intake.step() or server.builder.step():
        pass

    def fault(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(place.engine), "start", fault)
    said = set()
    for _ in range(20):
        server.runner.step()
        said.add(place.runs()[0].sentence)
    why = "Jobyard failed while running this; the server's log has more."
    assert said == {f"{why} Trying again.", why}
    assert place.runs()[0].status is RunStatus.FAILED


@pytest.mark.parametrize(
    ("begin", "when"),
    [
        (lambda server: None, "before it started"),
        (lambda server: server.runner.step(), "between its attempts"),
    ],
)
def test_a_cancel_says_when_it_came(place: Place, begin: Callable[[Server], object], when: str) -> None:
    place.engine.script("*", Script(exit_code=1))
    place.job(retry_limit=3)
    place.push(A, B)
    server = place.server_
    while server.intake.step() or server.builder.step():
        pass
    begin(server)
    (run,) = place.runs()
    with place.db.write() as tx:
        cancel_run(tx, runs.with_id(tx, run.id), "ada", place.clock.now())
    assert place.decisions()[-1].sentence == f"Run {run.name} cancelled by ada {when}."
    assert place.runs()[0].sentence == "Cancelled by ada."


# what is saved


def test_a_schedule_made_active_on_a_paused_job_starts_nothing_yet(admin: Caller) -> None:
    schedule = {"cron": "* * * * *", "active": False}
    admin.made(JOBS, {"name": "report", "kind": "cron", "schedule": schedule, "paused": True})
    admin.patch(f"{JOBS}/report", json={"schedule": {"active": True}})
    assert admin.got(f"{JOBS}/report/why")["items"][0]["sentence"] == (
        "Schedule set active by admin token, but the job is paused, so nothing starts yet."
    )


def test_a_secret_that_is_too_short_to_be_masked_is_warned_of(admin: Caller) -> None:
    env = {
        "SHORT": {"value": "abc", "secret": True},
        "LONG": {"value": "abcd", "secret": True},
        "OPEN": {"value": "abc"},
    }
    said = "SHORT is a secret of fewer than 4 characters: too short to be masked in logs."
    job = {"name": "report", "env": env}
    assert admin.made(JOBS, job)["warnings"] == [said]
    assert admin.got(f"{JOBS}/report")["warnings"] == [said]
    longer = admin.patch(f"{JOBS}/report", json={"env": {"SHORT": {"value": "abcd", "secret": True}}})
    assert longer.json()["warnings"] == []
    group = admin.made("/projects/acme/secret-groups", {"name": "mail", "env": env})
    assert group["warnings"] == [said]


def test_a_run_that_waits_has_not_started(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.made(JOBS, {"name": "report", "source": {"type": "image", "image": "busybox"}})
    admin.made(f"{JOBS}/report/runs")
    with serving(admin.context) as port:
        point_at(monkeypatch, port)
        header, row = Cli(capsys)("runs").out.splitlines()
    at = header.index("STARTED")
    assert row[at : header.index("TRIGGER")].strip() == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run_on_image_change": "never"}, "manually"),
        ({"run_on_image_change": "cd-promote"}, "with each new build or promotion"),
        ({"run_on_image_change": "cd-promote", "cd_enabled": False}, "with each promotion"),
        ({"run_on_image_change": "always"}, "with each new image"),
        ({"run_on_image_change": "always", "cd_enabled": False}, "with each deploy or promotion"),
        ({"run_on_image_change": "cd-promote", "source": {"type": "none"}}, "with each promotion"),
        ({"run_on_image_change": "always", "paused": True}, "only manually while paused"),
    ],
)
def test_what_starts_a_job_depends_on_its_switches(place: Place, changes: dict[str, Any], said: str) -> None:
    assert starts(place.job(**changes)) == said


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def page(made: World, path: str) -> str:
    """Its text, for somebody who is logged in."""
    client = Client(made.app())
    assert client.post("/login", data={"name": "admin-user", "password": PASSWORD}).status_code == 200
    text = re.sub(r"<[^>]+>", " ", client.get(path).text)
    return " ".join(text.split()).replace(" .", ".")


def queued(made: World) -> int:
    job = made.job("report", repository=None, source={"type": "image", "image": "busybox"})
    with made.db.write() as tx:
        return enqueue_run(tx, made.names, job, Trigger(TriggerType.API, "ada"), made.clock.now())


def test_a_run_that_waits_for_the_engine_says_so(shown: World) -> None:
    run_id = queued(shown)
    assert "It starts as soon as a worker is free and the runs that it replaces, if any, have ended." in page(
        shown, f"/runs/{run_id}"
    )
    with shown.db.write() as tx:
        run = runs.claim(tx, "tests", shown.clock.now())
        assert run is not None
        verdict = no_answer(run, "The engine does not answer.", shown.clock.now())
        run_attempts.conclude(tx, run, None, Outcome(Reason.ENGINE_FAILED), verdict, shown.clock.now())
    said = page(shown, f"/runs/{run_id}")
    assert "Waits The engine does not answer. Asked again in 5 s. It goes on" in said
    assert "worker" not in said


def test_a_run_that_never_began_promises_no_log(
    shown: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = queued(shown)
    assert "There is no log before the first attempt." in page(shown, f"/runs/{run_id}")
    with shown.db.write() as tx:
        cancel_run(tx, runs.with_id(tx, run_id), "ada", shown.clock.now())
    assert "There was no attempt, so there is no log." in page(shown, f"/runs/{run_id}")
    with serving(shown.context) as port:
        point_at(monkeypatch, port, ADMIN_TOKEN)
        assert Cli(capsys)("attempts", run_id).err == "There was none. Cancelled by ada.\n"


# all rules


def rules_of(tree: ast.AST) -> Iterator[str]:
    """The names of rules that a module gives its verdicts."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        given = [keyword.value for keyword in call.keywords if keyword.arg == "rule"]
        if isinstance(call.func, ast.Name) and call.func.id in ("Skip", "Go"):
            given += call.args[:1]
        if isinstance(call.func, ast.Name) and call.func.id == "Fired":
            given += call.args[4:5]
        for each in given:
            if isinstance(each, ast.Constant):
                yield str(each.value)


def test_every_rule_is_the_subject_of_a_test() -> None:
    modules = [
        module
        for package in ("domain", "commands", "workers")
        for module in (ROOT / "app" / package).rglob("*.py")
    ]
    rules = {rule for module in modules for rule in rules_of(ast.parse(module.read_text()))}
    assert {"push", "paused", "missed", "no_image", "concurrency:replace", "run_again"} <= rules
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert {rule for rule in rules if not re.search(rf"""["']{re.escape(rule)}["']""", tests)} == set()
