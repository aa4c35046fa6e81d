"""Builds, deploys and deliveries from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.builds import BuildReason
from app.domain.redaction import Redactor
from app.logs import Stream
from app.store import builds
from app.web.server_context import ServerContext
from tests.support.api import Caller, build_succeeds
from tests.support.cli import Cli, point_at, serving
from tests.support.meanwhile import Meanwhile

JOB = "/projects/acme/jobs/report"
GIT = {
    "type": "git",
    "git": {"url": "https://github.com/acme/report", "webhook_secret": "the secret of the hook"},
}
LOG = b"""Checking out 4f2a9c1d.
#1 [internal] load build definition
#1 DONE 0.1s
#2 [1/2] FROM python:3.11
#2 CACHED
#3 [2/2] RUN --mount=type=cache,target=/root/.cache pip install .
#3 0.412 Collecting what it needs
"""


@pytest.fixture
def cli(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Cli]:
    admin.made("/projects/acme/jobs", {"name": "report", "source": GIT})
    monkeypatch.chdir(tmp_path)
    with serving(admin.context) as port:
        point_at(monkeypatch, port)
        yield Cli(capsys)


def write_log(context: ServerContext, text: bytes) -> None:
    with context.log_storage.write_build(1, Redactor([])) as writer:
        writer.write(context.clock.now(), Stream.STDOUT, text)


def succeed(context: ServerContext) -> None:
    write_log(context, LOG + b"#3 DONE 12.3s\n")
    build_succeeds(context)


def fail(context: ServerContext) -> None:
    write_log(context, LOG + b"#3 0.5 no such package\n#3 ERROR: exit code: 1\n")
    with context.db.write() as tx:
        build = builds.claim(tx, "tests", context.clock.now())
        assert build is not None
        builds.fail(tx, build, BuildReason.BUILD_FAILED, "pip install . failed.", context.clock.now())


def test_a_followed_build_shows_its_steps(cli: Cli, context: ServerContext) -> None:
    with Meanwhile(context, "builds", lambda: succeed(context)):
        done = cli("build", "report", "--ref", "release", "--follow")
    assert done.status == 0
    assert done.out.splitlines() == [
        "Checking out 4f2a9c1d.",
        "✓ [internal] load build definition  0.1 s",
        "✓ [1/2] FROM python:3.11  cached",
        "✓ [2/2] RUN pip install .  12.3 s",
    ]
    assert "● succeeded" in done.err


def test_a_failed_build_shows_what_the_step_said(cli: Cli, context: ServerContext) -> None:
    with Meanwhile(context, "builds", lambda: fail(context)):
        done = cli("build", "report", "--follow")
    assert done.status == 1
    assert "✗ [2/2] RUN pip install ." in done.out
    assert "no such package" in done.out
    assert "pip install . failed." in done.err


def test_builds_are_listed_and_their_logs_read(cli: Cli, context: ServerContext, admin: Caller) -> None:
    made = cli("build", "report", "--sha", "a" * 40, "--json").json
    assert made == admin.got("/builds/1")
    succeed(context)
    assert cli("builds", "report", "--json").json == admin.got(f"{JOB}/builds")
    assert "● succeeded" in cli("builds").out
    assert cli("logs", "--build", 1).out.startswith("Checking out")
    assert cli("logs", "--build", 1, "--attempt", 1).status == 2
    other = cli("build", "report", "--sha", "b" * 40, "--json").json
    assert cli("cancel", "--build", other["id"]).out == "Build 2 is cancelled.\n"


def test_deliveries_are_listed_and_those_unknown_refused(cli: Cli) -> None:
    assert cli("deliveries", "--json").json == {"items": [], "next": None}
    assert "No delivery" in cli("deliveries").err
    for command in ("show", "replay"):
        done = cli("deliveries", command, "no/such")
        assert done.status == 1
        assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "wrong", [(), ("--build", "latest", "--image", "busybox"), ("--build", "newest"), ("--build", "-1")]
)
def test_a_deploy_is_of_one_thing(cli: Cli, wrong: tuple[str, ...]) -> None:
    assert cli("deploy", "report", *wrong).status == 2


def test_a_deploy_to_a_paused_job_is_agreed_to(cli: Cli, context: ServerContext, admin: Caller) -> None:
    cli("build", "report", "--sha", "a" * 40)
    succeed(context)
    admin.made(f"{JOB}/pause")
    refused = cli("deploy", "report", "--build", "1")
    assert (refused.status, "confirm with --confirm-paused" in refused.err) == (1, True)
    assert "It is refused without confirm_paused." in cli("deploy", "report", "--build", "1", "--dry-run").out
    assert cli("deploy", "report", "--build", "1", "--confirm-paused").out == "acme/report has build 1 now.\n"
