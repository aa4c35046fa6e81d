"""Secret groups through the API: who gets which variable, and that no secret comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.store import builds, runs
from tests.support.api import Caller
from tests.support.sealed import unsealed

GROUPS = "/projects/acme/secret-groups"
JOBS = "/projects/acme/jobs"
PASSWORD = {"value": "the mail password", "secret": True}


@pytest.fixture
def report(admin: Caller) -> Caller:
    source = {"type": "image", "image": "busybox"}
    admin.made(JOBS, {"name": "report", "source": source, "env": {"OWN": "job", "SHARED": "job"}})
    return admin


def env_of_run(admin: Caller, body: dict[str, Any] | None = None) -> dict[str, str]:
    """What a run's container would get."""
    made = admin.made(f"{JOBS}/report/runs", body)
    with admin.context.db.read() as tx:
        run = runs.with_id(tx, made["id"])
    return {
        name: unsealed(admin.context.vault, each.value) if each.secret else each.value
        for name, each in run.spec.env.items()
    }


def test_a_group_is_shown_without_its_secrets(admin: Caller, tmp_path: Path) -> None:
    made = admin.made(GROUPS, {"name": "mail", "env": {"PASSWORD": PASSWORD, "HOST": "mail.example.com"}})
    shown = {"value": None, "secret": True, "scope": "run"}
    assert made["env"] == {"PASSWORD": shown, "HOST": "mail.example.com"}
    assert (made["priority"], made["jobs"]) == (0, [])
    assert admin.got(f"{GROUPS}/mail") == made == admin.got(GROUPS)["items"][0]
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"the mail password" not in stored


def test_precedence_is_run_then_job_then_greater_priority(report: Caller) -> None:
    low = {"LOW": "low", "BOTH": "low", "SHARED": "low", "OVER": "low"}
    report.made(GROUPS, {"name": "low", "priority": 1, "env": low, "jobs": ["report"]})
    high = {"BOTH": PASSWORD, "SHARED": "high"}
    report.made(GROUPS, {"name": "high", "priority": 2, "env": high, "jobs": ["report"]})
    assert env_of_run(report, {"env": {"OVER": "run"}}) == {
        "OWN": "job",
        "SHARED": "job",
        "LOW": "low",
        "BOTH": "the mail password",
        "OVER": "run",
    }
    rehearsed = report.made(f"{JOBS}/report/runs?dry_run=1", {"env": {"OVER": "run"}})
    origins = {name: origin for name, origin in rehearsed["origins"].items() if name.startswith("env.")}
    assert origins == {
        "env.OWN": "job",
        "env.SHARED": "job",
        "env.LOW": "group low",
        "env.BOTH": "group high",
        "env.OVER": "override",
    }
    assert rehearsed["effective"]["env"]["BOTH"]["value"] is None
    report.patch(f"{GROUPS}/low", json={"priority": 3})
    assert env_of_run(report)["BOTH"] == "low"


def test_an_override_of_a_secret_stays_secret(report: Caller) -> None:
    report.made(GROUPS, {"name": "mail", "env": {"PASSWORD": PASSWORD}, "jobs": ["report"]})
    run = report.made(f"{JOBS}/report/runs", {"env": {"PASSWORD": "another password"}})
    assert run["effective"]["env"]["PASSWORD"] == {"value": None, "secret": True, "scope": "run"}
    assert env_of_run(report, {"env": {"PASSWORD": None}}) == {"OWN": "job", "SHARED": "job"}


def test_a_change_keeps_what_it_does_not_name(report: Caller) -> None:
    env = {"PASSWORD": PASSWORD, "HOST": "mail.example.com"}
    report.made(GROUPS, {"name": "mail", "env": env, "jobs": ["report"]})
    changed = report.patch(f"{GROUPS}/mail", json={"env": {"HOST": None, "PORT": "25"}}).json()
    assert (sorted(changed["env"]), changed["jobs"]) == (["PASSWORD", "PORT"], ["report"])
    assert env_of_run(report)["PASSWORD"] == "the mail password"
    report.patch(f"{GROUPS}/mail", json={"jobs": []})
    assert env_of_run(report) == {"OWN": "job", "SHARED": "job"}


def test_a_deleted_group_and_a_deleted_job_let_go_of_each_other(report: Caller) -> None:
    for name in ("mail", "other"):
        report.made(GROUPS, {"name": name, "env": {name.upper(): "1"}, "jobs": ["report"]})
    assert report.delete(f"{GROUPS}/mail?confirm=mail").status_code == 204
    assert "MAIL" not in env_of_run(report)
    for run in report.got(f"{JOBS}/report/runs")["items"]:
        report.made(f"/runs/{run['id']}/cancel")
    assert report.delete(f"{JOBS}/report?confirm=report").status_code == 204
    assert report.got(f"{GROUPS}/other")["jobs"] == []
    assert report.patch(f"{GROUPS}/other", json={"priority": 1}).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "Mail"}, "name"),
        ({"priority": "high"}, "priority"),
        ({"priority": 1001}, "priority"),
        ({"env": {"1A": "x"}}, "env.1A"),
        ({"env": {"A": 1}}, "env.A"),
        ({"env": {"A": {"secret": True}}}, "env.A.value"),
        ({"env": {"A": {"value": "1", "scope": "all"}}}, "env.A.scope"),
        ({"jobs": ["nobody"]}, "jobs.0"),
        ({"jobs": "report"}, "jobs"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_a_group_can_not_be(admin: Caller, body: dict[str, Any], field: str) -> None:
    answer = admin.post(GROUPS, json={"name": "mail", **body})
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert admin.got(GROUPS)["items"] == []


def test_build_variables_of_a_group_reach_the_build(admin: Caller) -> None:
    source = {"type": "git", "git": {"url": "https://github.com/acme/report"}}
    admin.made(JOBS, {"name": "report", "source": source})
    env = {"INDEX": {"value": "https://example.com", "scope": "build"}, "MODE": "daily"}
    admin.made(GROUPS, {"name": "index", "env": env, "jobs": ["report"]})
    build = admin.made(f"{JOBS}/report/builds")
    with admin.context.db.read() as tx:
        assert list(builds.with_id(tx, build["id"]).env) == ["INDEX"]
