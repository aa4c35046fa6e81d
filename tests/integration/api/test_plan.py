"""Rehearsals: what is said beforehand is what then happens, and saying it changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.store import deliveries
from app.store.deliveries import NewDelivery
from app.workers.intake import Intake
from tests.support.api import Caller, build_succeeds
from tests.support.repositories import Repository
from tests.support.samples import push_payload

JOBS = "/projects/acme/jobs"
URL = "https://github.com/acme/report"
A, B = "a" * 40, "b" * 40


def job(admin: Caller, name: str, **fields: Any) -> None:
    git = {"url": URL, **fields.pop("git", {})}
    source = {"type": "git", "git": git, "build": fields.pop("build", {})}
    admin.made(JOBS, {"name": name, "source": source, **fields})


def push(**fields: Any) -> dict[str, Any]:
    return {
        "push": {"repository": "acme/report", "ref": "refs/heads/main", "before": A, "after": B, **fields}
    }


def told(admin: Caller, body: dict[str, Any]) -> dict[str, Any]:
    """What is said about each job; it must leave no trace."""
    heard: list[frozenset[str]] = []
    admin.context.signals.publish = heard.append  # type: ignore[method-assign, assignment]
    admin.context.db._on_commit = heard.append
    before = _everything(admin)
    answer = admin.made("/plan", body)
    assert _everything(admin) == before
    assert heard == []
    return {item["job"]: item for item in answer["items"]}


def _everything(admin: Caller) -> list[str]:
    """All rows of all tables."""
    with admin.context.db.read() as tx:
        connection = tx.connection().connection.driver_connection
        assert connection is not None
        return list(connection.iterdump())


def deliver(admin: Caller, guid: str, payload: dict[str, Any]) -> None:
    body = json.dumps(payload).encode()
    now = admin.context.clock.now()
    new = NewDelivery("github", guid, "push", False, ("project:1",), body, "acme/report", now)
    deliveries.record(admin.context.db, [new])


def process(admin: Caller) -> None:
    context, dry_run = admin.context, admin.context.dry_run
    intake = Intake(
        context.db,
        context.clock,
        context.names,
        "tests",
        context.forges,
        dry_run.checkouts,
        context.vault,
        lambda _, work: work(),
    )
    while intake.step():
        pass


def test_both_stages_are_told_with_their_reasons(admin: Caller) -> None:
    job(admin, "runs", run_on_image_change="cd-promote")
    job(admin, "keeps", cd_enabled=False)
    job(admin, "off", ci_enabled=False)
    job(admin, "next", git={"branch": "next"})
    said = told(admin, push())
    would = {
        name: (each["would_build"], each["would_deploy"], each["would_run"]) for name, each in said.items()
    }
    assert would == {
        "runs": (True, True, True),
        "keeps": (True, False, False),
        "off": (False, False, False),
        "next": (False, False, False),
    }
    assert said["runs"]["build"]["sentence"].startswith("Push of bbbbbbb to main.")  # Git is out of reach
    assert said["runs"]["deploy"] == {
        "verdict": "started",
        "rule": "run_on_image_change:cd-promote",
        "sentence": "If the build of bbbbbbb succeeds, CD is on and run on image change is CD & promotion.",
    }
    assert said["keeps"]["deploy"]["rule"] == "cd_off"
    assert (said["off"]["build"]["rule"], said["off"]["deploy"]) == ("ci_off", None)
    assert said["next"]["build"]["rule"] == "other_branch"


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"ref": "main"}, "push"),
        ({"ref": "refs/tags/v1"}, "tag"),
        ({"after": None, "deleted": True}, "deleted_ref"),
        ({"after": "0" * 40}, "deleted_ref"),
        ({"message": "Fix [skip ci]"}, "commit_flag"),
        ({"files": ["docs/a.md"]}, "paths"),
        ({"files": ["docs/a.md", "main.py"]}, "push"),
        ({"repository": "git@github.com:Acme/Report.git"}, "push"),
    ],
)
def test_what_a_push_is_judged_by(admin: Caller, fields: dict[str, Any], rule: str) -> None:
    job(admin, "report", build={"paths": ["docs/"]})
    files = {"files": ["main.py"]} if fields.get("files") is None else {}
    assert told(admin, push(**{**files, **fields}))["report"]["build"]["rule"] == rule


def test_a_build_service_tells_for_all_its_jobs(admin: Caller) -> None:
    admin.made("/projects/acme/build-services", {"name": "images", "git": {"url": URL}})
    assert told(admin, push())[None]["would_build"] is True
    for name in ("daily", "weekly"):
        source = {"type": "build_service", "build_service": "images"}
        admin.made(JOBS, {"name": name, "source": source})
    said = told(admin, push())
    assert {name: each["build_service"] for name, each in said.items()} == {
        "daily": "images",
        "weekly": "images",
    }


def test_what_is_told_of_a_delivery_is_what_happens(admin: Caller) -> None:
    job(admin, "report", run_on_image_change="always")
    deliver(admin, "d1", push_payload(A, B, url=URL))
    said = told(admin, {"delivery": "d1"})["report"]
    process(admin)
    (built,) = admin.got("/deliveries/d1")["decisions"]
    assert (built["verdict"], built["rule"]) == (said["build"]["verdict"], said["build"]["rule"])
    build_succeeds(admin.context)
    moved = admin.got(f"{JOBS}/report/why")["items"][0]
    assert (moved["verdict"], moved["rule"]) == (said["deploy"]["verdict"], said["deploy"]["rule"])
    assert (moved["run"] is not None) == said["would_run"]
    assert told(admin, {"delivery": "d1"})["report"]["would_build"] is True  # a replay builds again


def test_an_older_commit_would_not_overtake(admin: Caller) -> None:
    job(admin, "report", run_on_image_change="always")
    deliver(admin, "d1", push_payload(A, B, url=URL))
    process(admin)
    build_succeeds(admin.context)
    late = told(admin, push(before="c" * 40, after=A))["report"]
    assert (late["would_build"], late["would_deploy"]) == (True, False)
    assert late["deploy"]["rule"] == "older_build"


def test_a_run_that_is_alive_is_reckoned_with(admin: Caller) -> None:
    schedule = {"cron": "0 6 * * *", "concurrency_policy": "forbid"}
    job(admin, "report", kind="cron", schedule=schedule, run_on_image_change="always")
    admin.made(f"{JOBS}/report/builds", {"sha": A})
    build_succeeds(admin.context)
    said = told(admin, push())["report"]
    assert (said["would_deploy"], said["would_run"]) == (True, False)
    assert said["deploy"]["rule"] == "concurrency:forbid"


def test_a_project_is_told_of_itself_alone(admin: Caller) -> None:
    job(admin, "report")
    admin.made("/projects", {"name": "beside"})
    source = {"type": "git", "git": {"url": URL}}
    admin.made("/projects/beside/jobs", {"name": "theirs", "source": source})
    assert set(told(admin, push())) == {"report", "theirs"}
    beside = admin.with_token("operator", "beside")
    assert [item["job"] for item in beside.made("/plan", push())["items"]] == ["theirs"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"delivery": "d1", **push()},
        push(before="abc"),
        push(ref=""),
        {"push": {"ref": "main"}},
        {"promotion": {}},
        {"detect": {}},
        {"detect": {"git": {"url": "ftp://example.com/x"}}},
        {"detect": {"git": {"url": "file:///nowhere", "credential": "forge"}}},
    ],
)
def test_what_can_not_be_rehearsed(admin: Caller, body: dict[str, Any]) -> None:
    assert admin.post("/plan", json=body).status_code == 422


def test_what_nobody_knows_is_not_found(admin: Caller) -> None:
    assert admin.post("/plan", json=push()).status_code == 404
    assert admin.post("/plan", json={"delivery": "d1"}).status_code == 404


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setattr("tests.support.server_context.TRANSPORTS", frozenset({"file"}))
    return Repository(tmp_path / "repository")


def test_a_repository_is_looked_at(admin: Caller, repository: Repository) -> None:
    sha = repository.commit({"main.py": "print('hello')\n", "requirements.txt": "six\n"})
    seen = admin.made("/plan", {"detect": {"git": {"url": repository.url}}})
    assert (seen["sha"], seen["plan"]["runtime"]) == (sha, "python")
    assert seen["plan"]["reasons"]
    assert "FROM python:" in seen["dockerfile"]
    build = {"install_command": "pip install six"}
    seen = admin.made("/plan", {"detect": {"git": {"url": repository.url}, "build": build}})
    assert "pip install six" in seen["dockerfile"]
    assert admin.got("/decisions")["items"] == []


def test_a_dockerfile_of_the_repository_is_shown_as_it_is(admin: Caller, repository: Repository) -> None:
    repository.commit({"Dockerfile": "FROM busybox\n"})
    seen = admin.made("/plan", {"detect": {"git": {"url": repository.url}}})
    assert (seen["plan"]["runtime"], seen["dockerfile"]) == ("dockerfile", "FROM busybox\n")


@pytest.mark.parametrize(
    ("git", "field"),
    [({}, "detect.build"), ({"branch": "nowhere"}, "detect.git")],
)
def test_what_can_not_be_built_is_said(
    admin: Caller, repository: Repository, git: dict[str, Any], field: str
) -> None:
    repository.commit({"README": "nothing to run\n"})
    answer = admin.post("/plan", json={"detect": {"git": {"url": repository.url, **git}}})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


# deploys and edits


def test_a_deploy_is_rehearsed_by_the_rules_that_decide_it(admin: Caller) -> None:
    job(admin, "report", run_on_image_change="always")
    for _ in range(2):
        admin.made(f"{JOBS}/report/builds")
        build_succeeds(admin.context)
    for what, said in (
        ({"build": 1}, "(CD is off now)"),
        ({"build": "latest"}, "Build 2"),
        ({"image": "a:1"}, "a:1"),
    ):
        body = {"project": "acme", "job": "report", **what}
        (seen,) = told(admin, {"deploy": body}).values()
        assert said in seen["deploy"]["sentence"]
        assert (seen["would_build"], seen["would_deploy"], seen["would_run"]) == (False, True, True)
    done = admin.made(f"{JOBS}/report/deploy", {"build": 1})["decision"]
    assert done["verdict"] == "started"
    admin.made(f"{JOBS}/report/pause")
    (seen,) = told(admin, {"deploy": {"project": "acme", "job": "report", "build": 1}}).values()
    assert (seen["would_deploy"], seen["would_run"], seen["deploy"]["rule"]) == (True, False, "paused")


def test_a_rehearsed_deploy_says_the_sentence_of_the_real_one(admin: Caller) -> None:
    job(admin, "report")
    admin.made(f"{JOBS}/report/builds")
    build_succeeds(admin.context)
    (seen,) = told(admin, {"deploy": {"project": "acme", "job": "report", "build": 1}}).values()
    done = admin.made(f"{JOBS}/report/deploy", {"build": 1})["decision"]
    assert seen["deploy"] == {name: done[name] for name in ("verdict", "rule", "sentence")}


def test_an_edit_is_rehearsed_without_a_trace_or_a_secret(admin: Caller) -> None:
    secret = {"value": "the first", "secret": True}
    job(admin, "report", env={"TOKEN": secret, "KEPT": secret, "MODE": "daily", "OLD": "x"})
    fields = {
        "name": "report",
        "kind": "cron",
        "schedule": {"cron": "0 6 * * *"},
        "instances": 3,
        "env": {"TOKEN": {"value": "the second", "secret": True}, "OLD": None, "MODE": "weekly"},
        "source": {"git": {"webhook_secret": "another long secret"}},
    }
    before = _everything(admin)
    answer = admin.made("/plan", {"settings": {"project": "acme", "fields": fields}})
    assert _everything(admin) == before
    assert "the first" not in str(answer)
    assert "the second" not in str(answer)
    assert "another long" not in str(answer)
    assert answer["next_fire_at"] == "2026-02-01T06:00:00Z"
    changes = {each["field"]: (each["before"], each["after"]) for each in answer["changes"]}
    assert changes["instances"] == (1, 3)
    assert changes["schedule.cron"] == (None, "0 6 * * *")
    assert changes["env.MODE"] == ("daily", "weekly")
    assert changes["env.OLD"] == ("x", None)
    assert changes["env.TOKEN"] == ("a secret", "another secret")
    assert "source.git.webhook_secret" in changes
    assert "env.KEPT" not in changes
    assert answer["sentence"].startswith(f"{len(changes)} settings of report")


def test_an_edit_that_would_be_refused_is_refused(admin: Caller) -> None:
    job(admin, "report")
    for fields, field in (
        ({"name": "report", "instances": 500}, "instances"),
        ({"name": "report", "kind": "cron"}, "schedule"),
        ({"name": "report", "source": {"git": {"credential": "nobody"}}}, "source.git.credential"),
        ({"name": "Bad Name"}, "name"),
        ({}, "name"),
    ):
        answer = admin.post("/plan", json={"settings": {"project": "acme", "fields": fields}})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    made = admin.made("/plan", {"settings": {"project": "acme", "fields": {"name": "fresh"}}})
    assert (made["is_new"], made["sentence"]) == (True, "Job fresh would be made; nothing was done.")
    assert admin.get(f"{JOBS}/fresh").status_code == 404


@pytest.mark.parametrize(
    ("body", "field", "sentence"),
    [
        (
            {"push": {"repository": "acme/report", "ref": "main", "after": A, "deleted": True}},
            "push",
            "must have no after",
        ),
        ({"delivery": ""}, "delivery", "must not be empty"),
    ],
)
def test_a_rehearsal_that_makes_no_sense_is_refused_in_a_sentence(
    admin: Caller, body: Any, field: str, sentence: str
) -> None:
    answer = admin.post("/plan", json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert error["message"].startswith(f"{field} {sentence}")
    assert ", not " not in error["message"]
