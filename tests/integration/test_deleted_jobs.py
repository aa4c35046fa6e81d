"""What is left of a deleted job: its runs and decisions, listed by its name."""

from __future__ import annotations

import pytest

from app.web.yard import Yard
from tests.support.cli import Cli, point_at, serving
from tests.support.yard import Caller

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
    for path in (f"{JOBS}/gone/runs", "/runs", "/runs?project=acme", "/runs?project=acme&job=gone"):
        assert names(admin.got(path)) == [run], path
    for path in (f"{JOBS}/gone/why", "/decisions?project=acme&job=gone", "/decisions"):
        assert [each["job"] for each in admin.got(path)["items"]] == ["gone", "gone"], path
    assert admin.get(f"{JOBS}/gone").status_code == 404


def test_a_new_job_of_its_name_is_listed_with_it(admin: Caller, run: str) -> None:
    admin.made(JOBS, {"name": "gone", "source": IMAGE})
    another = admin.made(f"{JOBS}/gone/runs")["name"]
    assert names(admin.got(f"{JOBS}/gone/runs")) == [another, run]
    assert len(admin.got("/decisions?project=acme&job=gone")["items"]) == 3
    assert admin.got(f"{JOBS}/gone")["last_run"]["name"] == another


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
    yard: Yard, run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = Cli(capsys)
    with serving(yard) as port:
        point_at(monkeypatch, port)
        assert names(cli("runs", "--json").json) == [run]
        assert names(cli("runs", "--project", "acme", "--json").json) == [run]
        assert names(cli("runs", "acme/gone", "--json").json) == [run]
        assert len(cli("why", "acme/gone", "--json").json["items"]) == 2
        assert len(cli("decisions", "--job", "acme/gone", "--json").json["items"]) == 2
