"""What the API and pages say of a commit's statuses: when they were posted, or why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.bootstrap.forges import send_to_forge
from app.config import Settings
from app.domain.http import HttpRequest, NotAllowed
from app.installation import trouble_with_forges
from app.store import projects
from tests.support.api import Caller
from tests.support.fakes import commit
from tests.support.github_api import GitHubDouble, github_double
from tests.support.seed import World, world
from tests.support.told_forge import ToldForge
from tests.support.visiting import read, visitor

A, B = commit("a"), commit("b")
REFUSED = (
    "GitHub does not let the credential do this (403): it needs Commit statuses: write (of a classic token, the scope"
    " repo:status). It said: Resource not accessible by personal access token. It is credential github."
)


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with github_double() as double:
        yield double


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        place = made.installation
        with place.db.write() as tx:
            place.project = projects.create(tx, "reports", None, place.clock.now())
        yield made


@pytest.fixture
def told(made: World, github: GitHubDouble) -> ToldForge:
    """A build that is posted, and a push that is skipped."""
    place = made.installation
    told, server = ToldForge(place, github), place.server("one")
    told.allow()
    place.job()
    place.push(None, A)
    server.intake.step()
    told.tell()
    place.push(None, B, ref="refs/heads/topic")
    server.intake.step()
    return told


def test_of_a_commit_a_build_and_a_run(told: ToldForge) -> None:
    place = told.place
    admin = Caller(place.web)
    (of_build,) = admin.got("/builds/1/commit-statuses")["items"]
    assert of_build["posted_at"] is not None
    assert {
        name: of_build[name] for name in ("context", "state", "description", "posting", "said", "build")
    } == {
        "context": "jobyard/report",
        "state": "pending",
        "description": "Build 1 is queued.",
        "posting": "posted",
        "said": "",
        "build": 1,
    }
    assert admin.got("/projects/reports/commit-statuses", sha=A)["items"] == [of_build]
    (waiting,) = admin.got("/projects/reports/commit-statuses", sha=B)["items"]
    assert (waiting["posting"], waiting["state"]) == ("waiting", None)
    place.server("one").work()
    told.tell()
    (of_run,) = admin.got("/runs/1/commit-statuses")["items"]
    assert (of_run["state"], of_run["posting"], of_run["run"]) == ("success", "posted", 1)


def test_why_says_what_came_of_telling_the_forge(github: GitHubDouble, told: ToldForge) -> None:
    github.may.discard("statuses")
    told.tell()
    admin = Caller(told.place.web)
    skipped, built = found = admin.got("/projects/reports/jobs/report/why")["items"]
    assert admin.got("/decisions")["items"] == found, "one decision is the same wherever it is listed"
    assert (skipped["commit_status"]["posting"], skipped["commit_status"]["said"]) == ("given_up", REFUSED)
    assert built["commit_status"]["posting"] == "posted"


def test_pages_show_it(made: World, github: GitHubDouble, told: ToldForge) -> None:
    github.may.discard("statuses")
    told.tell()
    page = visitor(made)
    build = read(page, "/builds/1")
    assert "<code>jobyard/report</code>" in build
    assert "Build 1 is queued." in build
    assert f"not posted: {REFUSED}" in " ".join(read(page, "/projects/reports/jobs/report/decisions").split())
    made.installation.server("one").work()
    told.tell()
    assert "<code>jobyard/report</code>" in read(page, "/runs/1")


def test_a_projects_setting(admin: Caller) -> None:
    assert admin.got("/projects/acme")["commit_statuses"] == "one"
    assert admin.patch("/projects/acme", json={"commit_statuses": "two"}).json()["commit_statuses"] == "two"
    refused = admin.patch("/projects/acme", json={"commit_statuses": "three"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "commit_statuses"


def test_doctor_tells_of_what_was_given_up(github: GitHubDouble, told: ToldForge) -> None:
    assert trouble_with_forges(told.place.db) == []
    github.may.discard("statuses")
    told.tell()
    assert trouble_with_forges(told.place.db) == [
        f"Project reports: the status jobyard/report of {B[:7]} is not posted: {REFUSED}"
    ]


def test_a_token_goes_in_the_clear_only_where_http_is_allowed(github: GitHubDouble) -> None:
    def send(**settings: str) -> int:
        given = Settings(data=Path("data"), egress="internet,private,host", _env_file=None, **settings)
        return send_to_forge(given)(HttpRequest("GET", f"{github.url}/repos")).status

    refused = r"does not begin with https://, and JOBYARD_GIT_ALLOW does not name http"
    with pytest.raises(NotAllowed, match=refused):
        send()
    assert github.asked == []
    assert send(git_allow="https,http") == 401
