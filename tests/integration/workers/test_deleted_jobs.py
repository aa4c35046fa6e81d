"""What is left of a deleted job: its runs and decisions, listed by its name until another job has that."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.web.server_context import ServerContext
from tests.support.api import Caller
from tests.support.cli import Cli, point_at, serving
from tests.support.client import Client
from tests.support.seed import PASSWORD, world
from tests.support.server_context import ADMIN_TOKEN

JOBS = "/projects/acme/jobs"
IMAGE = {"type": "image", "image": "busybox"}


@pytest.fixture
def run(admin: Caller) -> str:
    """A run of a job that was deleted since."""
    admin.made(JOBS, {"name": "gone", "source": IMAGE})
    name = str(admin.made(f"{JOBS}/gone/runs")["name"])
    admin.made(f"/runs/{name}/cancel")
    assert admin.delete(f"{JOBS}/gone?confirm=gone").status_code == 204
    return name


def names(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [each["name"] for each in answer["items"]]


def test_its_runs_and_decisions_are_listed_by_its_name(admin: Caller, run: str) -> None:
    for query in ({}, {"project": "acme"}, {"project": "acme", "job": "gone"}):
        assert names(admin.got("/runs", **query)) == [run], query
        assert [each["job"] for each in admin.got("/decisions", **query)["items"]] == ["gone", "gone"], query
    assert names(admin.got(f"{JOBS}/gone/runs")) == [run]
    assert len(admin.got(f"{JOBS}/gone/why")["items"]) == 2
    assert admin.get(f"{JOBS}/gone").status_code == 404


def test_a_new_job_of_its_name_does_not_get_its_history(admin: Caller, run: str) -> None:
    admin.made(JOBS, {"name": "gone", "source": IMAGE})
    by_name = {"project": "acme", "job": "gone"}
    for path in ("/runs", "/decisions"):
        assert admin.got(path, **by_name)["items"] == [], path
    for path in ("runs", "why"):
        assert admin.got(f"{JOBS}/gone/{path}")["items"] == [], path
    another = admin.made(f"{JOBS}/gone/runs")["name"]
    assert names(admin.got(f"{JOBS}/gone/runs")) == [another]
    assert names(admin.got("/runs")) == [another, run]
    assert admin.got(f"/runs/{run}")["job"] == "gone"
    assert len(admin.got("/decisions", **by_name)["items"]) == 1
    assert admin.got(f"{JOBS}/gone")["last_run"]["name"] == another
    admin.made(f"/runs/{another}/cancel")
    assert admin.delete(f"{JOBS}/gone?confirm=gone").status_code == 204
    assert names(admin.got(f"{JOBS}/gone/runs")) == [another]


def main_of(page: str) -> str:
    """What a page is about, with single spaces."""
    return " ".join(page.partition("<main")[2].partition("</main>")[0].split())


def test_its_page_says_when_it_was_deleted_and_has_no_forms(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        at = {"follow_redirects": False, "headers": {"Authorization": f"Bearer {ADMIN_TOKEN}"}}
        api = Client(made.app(), **at)
        base = "/api/v1/projects/acme/jobs"
        assert api.post("/api/v1/projects", json={"name": "acme"}).status_code == 201
        assert api.post(base, json={"name": "gone", "source": IMAGE}).status_code == 201
        run = api.post(f"{base}/gone/runs").json()["name"]
        api.post(f"/api/v1/runs/{run}/cancel")
        assert api.delete(f"{base}/gone?confirm=gone").status_code == 204
        page = Client(made.app(), headers={"Sec-Fetch-Site": "same-origin"})
        page.post("/login", data={"name": "admin-user", "password": PASSWORD})
        job = "/projects/acme/jobs/gone"
        text = main_of(page.get(job).text)
        assert "its runs, their logs and its decisions stay" in text
        assert f'href="/runs/{run}"' in text
        assert "<form" not in text
        assert "cancelled by" in main_of(page.get(f"{job}/decisions").text)
        of_run = main_of(page.get(f"/runs/{run}").text)
        assert f'href="{job}"' in of_run
        assert "<form" not in of_run
        for path in ("run", "settings", "deploy"):
            assert page.get(f"{job}/{path}").status_code == 404, path


def test_a_name_that_no_job_ever_had_is_missing(admin: Caller, run: str) -> None:
    for path in (f"{JOBS}/never/runs", f"{JOBS}/never/why", "/runs?project=acme&job=never"):
        assert admin.get(path).status_code == 404, path
    assert admin.get("/runs?job=gone").status_code == 422


def test_the_runs_of_other_projects_are_not_listed(admin: Caller, run: str) -> None:
    admin.made("/projects", {"name": "other"})
    stranger = admin.with_token("viewer", "other")
    assert stranger.got("/runs")["items"] == []
    assert stranger.get("/runs?project=acme").status_code == 404
    assert names(admin.with_token("viewer", "acme").got("/runs")) == [run]


def test_the_command_line_lists_them(
    context: ServerContext, run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = Cli(capsys)
    with serving(context) as port:
        point_at(monkeypatch, port)
        assert names(cli("runs", "--json").json) == [run]
        assert names(cli("runs", "--project", "acme", "--json").json) == [run]
        assert names(cli("runs", "acme/gone", "--json").json) == [run]
        assert len(cli("why", "acme/gone", "--json").json["items"]) == 2
        assert len(cli("decisions", "--job", "acme/gone", "--json").json["items"]) == 2
