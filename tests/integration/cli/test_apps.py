"""Apps, deployments and promotions from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.web.server_context import ServerContext
from tests.support.api import Caller, build_succeeds
from tests.support.cli import Cli, point_at, serving
from tests.support.shop import APPS, JOBS, ONE, PIPELINES, TWO, A, B, empty_job, job, settle


@pytest.fixture
def cli(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Cli]:
    job(admin, "migrate", deploy_trigger="pre-deploy")
    job(admin, "web")
    empty_job(admin, "migrate-live", deploy_trigger="pre-deploy")
    empty_job(admin, "web-live")
    admin.made(APPS, {"name": "shop", "jobs": ["migrate", "web"]})
    admin.made(APPS, {"name": "shop-live", "jobs": ["migrate-live", "web-live"]})
    stages = [{"name": "one", "components": ["shop"]}, {"name": "two", "components": ["shop-live"]}]
    admin.made(PIPELINES, {"name": "main", "stages": stages})
    monkeypatch.chdir(tmp_path)
    with serving(admin.context) as port:
        point_at(monkeypatch, port)
        yield Cli(capsys)


def live(cli: Cli, context: ServerContext, sha: str, digest: str) -> int:
    """The id of a deployment that is live."""
    made = cli("deploy", "shop", "--sha", sha, "--json").json
    build_succeeds(context, digest_=digest)
    settle(Caller(context))
    return int(made["id"])


def test_deploy_look_and_promote(cli: Cli, context: ServerContext) -> None:
    number = live(cli, context, A, ONE)
    assert "acme/shop" in cli("apps").out
    assert A[:7] in cli("app", "shop").out
    assert "succeeded" in cli("deployments", "acme/shop").out
    assert "pre-deploy" in cli("deployment", number).out
    done = cli("promote", "shop")
    assert done.out.startswith(f"{A[:7]} promoted from shop (one) to shop-live (two)")
    settle(Caller(context))
    assert Caller(context).got(f"{JOBS}/web-live")["deployed"]["digest"] == ONE
    assert [line.split()[1:4] for line in cli("pipelines").out.splitlines()[1:]] == [
        ["one", "shop", "migrate"],
        ["one", "shop", "web"],
        ["two", "shop-live", "migrate-live"],
        ["two", "shop-live", "web-live"],
    ]
    assert cli("promote", "shop-live").err == "jobyard: two is the last stage of pipeline main.\n"
    assert cli("promote", "nothing").status == 1


def test_roll_back_and_release(cli: Cli, context: ServerContext) -> None:
    first = live(cli, context, A, ONE)
    live(cli, context, B, TWO)
    assert "Deployment 3 of shop is running" in cli("rollback", first).out
    settle(Caller(context))
    assert Caller(context).got(f"{JOBS}/web")["deployed"]["digest"] == ONE
    assert "held at rollback 3" in cli("app", "shop").err
    assert cli("release-hold", "shop").out == "acme/shop is not held any more.\n"
    assert cli("release-hold", "shop").status == 1


def test_what_can_not_be_deployed(cli: Cli) -> None:
    assert "There is no job nothing" in cli("deploy", "nothing", "--build", "latest").err
    assert cli("deploy", "shop", "--image", "busybox").status == 1
    assert cli("deploy", "web").status == 2
    assert "has a build of its branch that succeeded yet" in cli("deploy", "shop").err
