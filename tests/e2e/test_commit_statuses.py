"""A push over HTTP to a real server, and what a forge's API is told of its commit, which is all a pusher sees there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.git_server import git_server
from tests.support.github_api import TOKEN, GitHubDouble, github_double
from tests.support.hosted import HostedJob
from tests.support.server import JobyardServer, jobyard_server

NOWHERE = "unix:///nowhere/docker.sock"
PUBLIC_URL = "https://ci.acme.example"
REACHES_THIS_MACHINE = {"egress": "internet,private,host", "public_url": PUBLIC_URL}


@pytest.fixture(scope="module")
def github() -> Iterator[GitHubDouble]:
    with github_double() as double:
        yield double


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobyardServer]:
    data = tmp_path_factory.mktemp("told") / "data"
    with jobyard_server(data, engine="process", docker_host=NOWHERE, **REACHES_THIS_MACHINE) as server:
        yield server


@pytest.fixture(scope="module")
def told(
    server: JobyardServer, github: GitHubDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HostedJob]:
    """A job whose repository is on a Git server with an API that takes statuses."""
    root = tmp_path_factory.mktemp("forge")
    with git_server(root) as forge:
        (root / "acme").mkdir()
        job = HostedJob(server, forge, root / "acme", "report")
        job.job(build={"paths": ["docs/**"], "paths_mode": "ignore"})
        credential = {
            "name": "forge",
            "kind": "git",
            "host": f"127.0.0.1:{forge.server_port}",
            "secret": TOKEN,
        }
        server.api("POST", "/projects/acme/credentials", {**credential, "api_url": github.url})
        job.ran(
            job.push({"main.py": "print('first')\n"})
        )  # the first push of a branch is built whatever it changes
        yield job


def waiting_for(gate: Path) -> str:
    """A program that ends once a file is there."""
    return f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.02)\n"


def test_a_commit_is_pending_and_then_a_success(
    server: JobyardServer, github: GitHubDouble, told: HostedJob, tmp_path: Path
) -> None:
    push = told.push({"main.py": waiting_for(tmp_path / "gate")})
    server.wait_for("it is pending", lambda: github.states(sha=push.sha))
    assert set(github.states(sha=push.sha)) == {"pending"}
    (tmp_path / "gate").touch()
    run = told.ran(push)
    server.wait_for("the end is told", lambda: "success" in github.states(sha=push.sha))
    assert github.shown(push.sha) == {
        "jobyard/report": ("success", f"Run {run['name']} succeeded.", f"{PUBLIC_URL}/runs/{run['id']}")
    }


def test_where_nothing_is_built_the_commit_says_why(
    server: JobyardServer, github: GitHubDouble, told: HostedJob
) -> None:
    push = told.push({"docs/index.md": "words"})
    decision = told.decision(push)
    assert decision["verdict"] == "skipped"
    server.wait_for("the reason is told", lambda: github.posted and github.shown(push.sha))
    state, description, link = github.shown(push.sha)["jobyard/report"]
    assert (state, description) == ("success", decision["sentence"])
    assert link == f"{PUBLIC_URL}/projects/acme/jobs/report/decisions"


def test_a_server_that_is_killed_goes_on_to_the_newest_state(
    server: JobyardServer, github: GitHubDouble, told: HostedJob, tmp_path: Path
) -> None:
    push = told.push({"main.py": waiting_for(tmp_path / "gate")})
    server.wait_for("it is pending", lambda: github.states(sha=push.sha))
    server.kill()
    (tmp_path / "gate").touch()
    server.start()
    told.ran(push)
    server.wait_for("the end is told", lambda: github.states(sha=push.sha)[-1] == "success")
