"""What pages and the command line say of a state, in each state that they say it of."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.commands.flow_runs import start_flow_run
from app.commands.runs import cancel_run
from app.domain.builds import BuildReason
from app.domain.flow_codec import steps_from_json
from app.domain.flows import FlowConcurrency, FlowTrigger, FlowTriggerType
from app.domain.job.spec import ConcurrencyPolicy
from app.domain.runs import Trigger, TriggerType
from app.runtime.engine_health import EngineHealth
from app.store import apps, builds, deliveries, flows, jobs, projects, runs
from app.store.apps import Part
from app.web.pages.formatting import first_run, no_build, on_image, on_push, paused, starts
from app.workers.flows import FlowWorker
from tests.support.api import Caller
from tests.support.cli import Cli, point_at, serving
from tests.support.client import Client
from tests.support.clock import Clock
from tests.support.installation import Installation
from tests.support.seed import PASSWORD, World, world
from tests.support.stages import two_stages

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
SHA = "a8810fe" + "0" * 33
CRON: dict[str, Any] = {"kind": "cron", "schedule": {"cron": "0 6 * * *", "time_zone": "UTC", "active": True}}
INACTIVE = {**CRON, "schedule": {**CRON["schedule"], "active": False}}
NONE = {"source": {"type": "none"}}
HELD, HOOK = Part("shop", None, 7), Part("shop", "pre-deploy", None)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Clock(NOW)) as each:
        yield each


def visitor(made: World) -> Client:
    client = Client(made.app(), headers={"Sec-Fetch-Site": "same-origin"})
    assert client.post("/login", data={"name": "admin-user", "password": PASSWORD}).status_code == 200
    return client


def page(made: World, path: str) -> str:
    """Its text, for an administrator."""
    text = html.unescape(re.sub(r"<[^>]+>", " ", visitor(made).get(path).text))
    return re.sub(r" ([.,])", r"\1", " ".join(text.split()))


# what a job's settings come to


@pytest.mark.parametrize(
    ("changes", "part", "image", "start"),
    [
        ({"run_on_image_change": "never"}, None, "deploys it", "manually"),
        (
            {"run_on_image_change": "cd-promote"},
            None,
            "deploys it, runs after CD and promotion",
            "with each new build or promotion",
        ),
        (
            {"run_on_image_change": "cd-promote", "cd_enabled": False},
            None,
            "keeps the old one (CD off), runs after a promotion",
            "with each promotion",
        ),
        ({}, None, "deploys it, always runs", "with each new image"),
        (
            {"cd_enabled": False},
            None,
            "keeps the old one (CD off), runs after a promotion or deploy",
            "with each deploy or promotion",
        ),
        ({"paused": True}, None, "keeps the old one (paused), runs nothing", "only manually while paused"),
        (
            {},
            HELD,
            "keeps the old one (app shop is held), runs after a promotion or deploy",
            "with each deploy or promotion",
        ),
        ({}, HOOK, "deploys it, runs as pre-deploy job of app shop", "as pre-deploy job of app shop"),
        (
            INACTIVE,
            None,
            "deploys it, runs nothing (schedule inactive)",
            "at 06:00 every day (UTC), but inactive",
        ),
        (CRON, None, "deploys it, always runs", "at 06:00 every day (UTC), and with each new image"),
        ({**CRON, "run_on_image_change": "never"}, None, "deploys it", "at 06:00 every day (UTC)"),
        (NONE, None, "nothing by itself, runs after a promotion or deploy", "with each deploy or promotion"),
        (
            {**NONE, "run_on_image_change": "cd-promote"},
            None,
            "nothing by itself, runs after a promotion",
            "with each promotion",
        ),
        ({**NONE, "paused": True}, None, "nothing by itself, runs nothing", "only manually while paused"),
    ],
)
def test_what_a_new_image_does_and_what_starts_a_job(
    place: Installation, changes: dict[str, Any], part: Part | None, image: str, start: str
) -> None:
    job = place.job(**changes)
    assert on_image(job, part) == image
    assert starts(job, part) == start


@pytest.mark.parametrize(
    ("changes", "push"),
    [
        ({}, "builds"),
        ({"ci_enabled": False}, "does nothing: CI off"),
        ({"paused": True}, "does nothing: paused"),
        ({"paused": True, "source__name": "reports"}, "builds (build service reports)"),
        (NONE, "nothing: it is not built here"),
    ],
)
def test_what_a_push_does(place: Installation, changes: dict[str, Any], push: str) -> None:
    job = place.job(**changes)
    assert on_push(job) == push
    assert job.builds_pushes == push.startswith("builds")


@pytest.mark.parametrize(
    ("changes", "part", "need", "how"),
    [
        ({}, None, None, ": run it now, or push to main."),
        ({"run_on_image_change": "never"}, None, None, ": run it now."),
        ({"ci_enabled": False}, None, None, ": run it now."),
        ({"cd_enabled": False}, None, None, ": run it now."),
        ({}, HELD, None, ": run it now."),
        ({}, HOOK, None, ": run it now."),
        (INACTIVE, None, None, ": run it now."),
        (NONE, None, None, ": run it now."),
        ({"paused": True}, None, None, ": resume it, or run it manually though it is paused."),
        ({}, None, "build it first, manually", ", and has no image to run: build it first, manually."),
    ],
)
def test_how_a_job_that_never_ran_comes_to_run(
    place: Installation, changes: dict[str, Any], part: Part | None, need: str | None, how: str
) -> None:
    assert first_run(place.job(**changes), part, need) == f"This job has not run yet{how}"


def test_how_a_first_build_comes_about_and_who_is_paused(place: Installation) -> None:
    source = place.job().source
    assert source is not None
    assert no_build(source, by_push=True) == "No build yet: a push to main makes one."
    assert no_build(source, by_push=False) == "No build yet: a manual build makes one."
    assert paused(["a"]) == "a is paused"
    assert paused(["a", "b"]) == "a, b are paused"


def test_pages_of_jobs_that_did_nothing_yet(made: World) -> None:
    made.job("report", ci_enabled=False, **INACTIVE, paused=True)
    hook = made.job("migrate", deploy_trigger="pre-deploy")
    with made.db.write() as tx:
        app_id = apps.create(tx, hook.project_id, "shop", NOW)
        apps.set_members(tx, app_id, {hook.id: None})
    said = page(made, "/projects/acme/jobs/report")
    assert (
        "This job has not run yet, and has no image to run: build it first, manually, and deploy it." in said
    )
    assert "No build yet: a manual build makes one." in said
    assert "Pushes, new images and its schedule start nothing." in said
    assert "Starts as pre-deploy job of app shop" in page(made, "/projects/acme/jobs/migrate")
    for path in ("/", "/projects/acme"):
        assert "as pre-deploy job of app shop" in page(made, path)
    assert (
        "The job is paused and its schedule inactive: resume it with its schedule, and it is due again from then on."
    ) in page(made, "/projects/acme/jobs/report/schedule")
    assert (
        "Nothing was deployed yet: Deploy does, and so does a push that builds a job with CD on."
    ) in page(made, "/apps")


def test_pages_of_a_project_with_a_job_that_nothing_happened_to(made: World) -> None:
    job = made.job("report", repository=None)
    with made.db.write() as tx:
        apps.create(tx, job.project_id, "shop", NOW)
    for path, sentences in {
        "/": [
            "has not run yet",
            "Nothing is running or being built.",
            "No build yet: a push that a job or build service builds makes one.",
        ],
        "/projects/acme/jobs/report": ["Deployed nothing yet", "Nothing was decided yet."],
        "/projects/acme/jobs/report/decisions": [
            "Nothing was decided about this job yet: pushes, its schedule and new images lead to decisions."
        ],
        "/apps": ["It has no jobs."],
        "/projects/acme": [
            "None. One repository for several jobs is built once, by a build service.",
            "None. Variables that several jobs need, such as the password of a database, are kept once",
            "None. A private repository or registry needs one.",
        ],
        "/deliveries": ["No call with the right secret has arrived yet: point a repository's webhook here."],
        "/settings": ["There is none yet. Make one below and use it as Authorization: Bearer TOKEN."],
    }.items():
        said = page(made, path)
        assert [each for each in sentences if each not in said] == [], said
    assert (
        "A server without an administrator prints a link to set one up when it starts"
        in Client(made.app()).get("/login").text
    )


# the overview


def test_an_overview_of_nothing_promises_no_run_by_a_push(made: World) -> None:
    with made.db.write() as tx:
        projects.create(tx, "acme", None, NOW)
    said = page(made, "/")
    assert (
        "There is no job yet: name a repository, and say what starts it: you alone, a schedule, or each new image."
    ) in said
    assert "No build yet: a push that a job or build service builds makes one." in said


def test_an_engine_that_was_not_asked_yet_is_not_down(made: World) -> None:
    made.health = EngineHealth(is_up=False, sentence="The container engine has not been asked yet.")
    said = page(made, "/")
    assert "no answer from the container engine" in said
    assert "This server can start nothing now. The container engine has not been asked yet." in said
    assert "No answer The container engine has not been asked yet." in page(made, "/settings")


def test_a_build_that_waits_to_be_tried_again_waits_for_no_builder(made: World) -> None:
    job = made.job("report")
    build_id = made.build(job, NOW, sha=SHA, state="queued")
    assert "waits for a builder" in page(made, "/")
    with made.db.write() as tx:
        build = builds.claim(tx, "tests", NOW)
        assert build is not None
        builds.ask_again(tx, build, "The engine does not answer. Tried again in 5 s.", NOW, NOW)
    said = page(made, "/")
    assert "The engine does not answer. Tried again in 5 s." in said
    assert "waits for a builder" not in said
    assert "Waits The engine does not answer. Tried again in 5 s." in page(made, f"/builds/{build_id}")


# builds and runs


def test_a_build_that_is_being_stopped_and_one_that_never_began(made: World) -> None:
    job = made.job("report")
    running = made.build(job, NOW, sha=SHA, state="running")
    queued = made.build(job, NOW, sha="b" * 40, state="queued")
    with made.db.write() as tx:
        for build_id in (running, queued):
            builds.cancel(tx, builds.with_id(tx, build_id), BuildReason.CANCELLED, "Cancelled by ada.", NOW)
    assert "Stopping Cancelled by ada." in page(made, f"/builds/{running}")
    said = page(made, f"/builds/{queued}")
    assert "How it ended Cancelled by ada." in said
    assert "Started never" in said
    assert "This build never began, so it has no output." in said


def test_a_run_that_is_being_stopped_and_one_that_never_began(made: World) -> None:
    job = made.job("report")
    trigger = Trigger(TriggerType.MANUAL, "ada", cause="Started manually by ada.")
    started = made.queue_run(job, NOW, trigger)
    made.attempt(started, NOW)
    queued = made.queue_run(job, NOW, trigger)
    with made.db.write() as tx:
        for run_id in (started, queued):
            cancel_run(tx, runs.with_id(tx, run_id), "ada", NOW)
    assert ("Stopping Cancelled by ada. The process has at most 30 s to end by itself.") in page(
        made, f"/runs/{started}"
    )
    assert "Started never" in page(made, f"/runs/{queued}")
    whole = visitor(made).get(f"/runs/{queued}").text
    assert "Starts a new run now with this one&#39;s configuration, on what is deployed" in whole


# flows


@pytest.mark.parametrize("is_last", [True, False])
def test_a_node_that_fails_keeps_others_from_being_reached_only_if_there_are_any(
    made: World, is_last: bool
) -> None:
    job = made.job("report", repository=None)
    nodes = [
        {"name": "try", "type": "run", "job": "report"},
        {"name": "tell", "type": "message", "message": "Hi."},
    ]
    with made.db.write() as tx:
        flows.save(
            tx,
            job.project_id,
            "release",
            steps_from_json(nodes[: 1 if is_last else 2]),
            concurrency=FlowConcurrency.ALLOW,
            push_job_id=None,
            now=NOW,
        )
        trigger = FlowTrigger(FlowTriggerType.MANUAL, "ada")
        run_id = start_flow_run(tx, flows.named(tx, "acme", "release"), trigger, NOW).id
    flow_worker = FlowWorker(made.db, made.clock, made.names, made.box)
    while flow_worker.step():
        pass
    said = page(made, f"/flows/runs/{run_id}")
    assert ("How it ended try failed." in said) is is_last
    assert ("try failed, so what comes after was not reached." in said) is not is_last


# deliveries


def test_deliveries_in_each_state(made: World) -> None:
    made.job("report")
    made.delivery("ping", NOW, event="ping")
    made.delivery("ignored", NOW)
    made.delivery("failed", NOW)
    made.delivery("waits", NOW)
    with made.db.write() as tx:
        for guid in ("ignored", "failed", "waits"):
            deliveries.reopen(tx, deliveries.find(tx, guid).id)
        for guid in ("ignored", "failed"):
            deliveries.settle(tx, deliveries.find(tx, guid).id, guid, "", NOW)
    made.delivery("issues", NOW, event="issues")
    said = page(made, "/deliveries")
    assert "Event issues: only pushes build." in said
    assert "A ping: the webhook's address and its secret are right." in said
    assert said.count("No job was concerned.") == 3
    assert said.count("Nothing was decided about it.") == 1
    assert said.count("Nothing is decided about it yet.") == 1
    client = visitor(made)
    for guid, why in (
        ("ping", "it was no push"),
        ("ignored", "no job or build service had its repository"),
        ("waits", "it is not processed yet"),
    ):
        answer = client.post(f"/deliveries/github/{guid}/replay")
        assert f"Delivery {guid} can&#39;t be replayed: {why}." in answer.text


@pytest.mark.parametrize(("count", "words"), [(1, "1 call was"), (2, "2 calls were")])
def test_a_call_that_is_turned_away_has_no_secret_of_a_known_repository(
    made: World, count: int, words: str
) -> None:
    """Its signature may be right, of a secret that is there for other repositories."""
    app = made.app()
    for _ in range(count):
        app.state.server.inbox.reject((), app.state.server.clock.now())
    client = Client(app, headers={"Sec-Fetch-Site": "same-origin"})
    client.post("/login", data={"name": "admin-user", "password": PASSWORD})
    them = "it" if count == 1 else "them"
    why = f"{words} turned away, as no repository known here has the secret that signed {them}"
    text = " ".join(re.sub(r"<[^>]+>", " ", client.get("/deliveries").text).split())
    assert why in text


# pipelines


def test_a_promotion_to_a_job_with_a_run_that_is_in_its_way(made: World) -> None:
    schedule = {**CRON["schedule"], "concurrency_policy": "forbid"}
    _, live = two_stages(made, kind="cron", schedule=schedule)
    run_id = made.queue_run(live, NOW, Trigger(TriggerType.SCHEDULE))
    with made.db.read() as tx:
        name = runs.with_id(tx, run_id).name
    said = page(made, "/pipelines")
    assert (
        f"report-live gets the image and nothing runs, since {name} is not over yet and the policy is forbid"
    ) in said
    with made.db.write() as tx:
        assert live.schedule is not None
        replacing = replace(live.schedule, concurrency_policy=ConcurrencyPolicy.REPLACE)
        jobs.redefine(tx, live.id, replace(live.spec, schedule=replacing), None, NOW)
    assert f"report-live will run and replaces {name}" in page(made, "/pipelines")


# the command line


def test_that_nothing_was_decided_is_said_of_what_was_asked_for(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.made("/projects/acme/jobs", {"name": "report", "source": {"type": "image", "image": "busybox"}})
    with serving(admin.context) as port:
        point_at(monkeypatch, port)
        cli = Cli(capsys)
        assert cli("why", "report").err == "Nothing was decided about it yet.\n"
        admin.made("/projects/acme/jobs/report/runs")
        assert cli("why", "report", "--at", "2020-01-01").err == "Nothing was decided about it until then.\n"
        assert cli("decisions", "--since", "2030-01-01").err == "No decision is of this kind.\n"
