"""From a push to production through a pipeline of three stages, on the real engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hosted import HostedJob
from tests.support.server import JobyardServer, Json, Push, jobyard_server

STAGES = ("development", "staging", "production")
HOOKS = {
    "migrate": "pre-deploy",
    "nightly": None,
    "smoke": "post-deploy",
    "notice": "failed-deploy",
}
NAMES = [f"{kind}-{stage}" for stage in STAGES for kind in HOOKS]


def files(version: str, migrate: str = "echo migrated") -> dict[str, str | None]:
    """An image with a script for each job."""
    scripts = {kind: f"echo {kind} of {version}\n" for kind in HOOKS}
    return {
        "Dockerfile": "FROM busybox:latest\nCOPY jobs /jobs\n",
        **{f"jobs/{kind}": text for kind, text in scripts.items()},
        "jobs/migrate": f"{scripts['migrate']}{migrate}\n",
    }


class Shop:
    """An app of four jobs in each stage; only development's are built from the repository."""

    def __init__(self, hosted: HostedJob) -> None:
        self.hosted, self.server = hosted, hosted.server
        for stage in STAGES:
            for kind, trigger in HOOKS.items():
                self._job(kind, stage, trigger)
            jobs = [f"{kind}-{stage}" for kind in HOOKS]
            self.server.api("POST", "/projects/acme/apps", {"name": f"shop-{stage}", "jobs": jobs})
        stages = [{"name": stage, "components": [f"shop-{stage}"]} for stage in STAGES]
        self.server.api("POST", "/projects/acme/pipelines", {"name": "main", "stages": stages})

    def _job(self, kind: str, stage: str, trigger: str | None) -> None:
        fields: Json = {"command": ["sh", f"/jobs/{kind}"], "deploy_trigger": trigger}
        if kind == "nightly":
            fields |= {"kind": "cron", "schedule": {"cron": "0 3 * * *"}}
        if stage != "development":
            fields["source"] = {"type": "none"}
        self.server.make_job(f"{kind}-{stage}", self.hosted.url, **fields)

    def deployments(self, stage: str) -> list[Json]:
        """Oldest first."""
        return self.server.items(f"/projects/acme/apps/shop-{stage}/deployments")[::-1]

    def deployed(self, push: Push) -> Json:
        """The deployment that a push made, once it is over."""
        self.server.settled(push)
        found = next(each for each in self.deployments("development") if each["sha"] == push.sha)
        return self.over(found["id"])

    def over(self, number: int) -> Json:
        def probe() -> Json:
            found = self.server.api("GET", f"/deployments/{number}")
            return found if found["status"] not in ("pending", "running") else None

        return self.server.wait_for(f"deployment {number} is over", probe)

    def promote(self, component: str) -> Json:
        made = self.server.api("POST", "/projects/acme/pipelines/main/promotions", {"component": component})
        return self.over(made["deployment"])

    def digests(self, stage: str) -> set[str | None]:
        members = self.server.api("GET", f"/projects/acme/apps/shop-{stage}")["members"]
        return {each["deployed"] and each["deployed"]["digest"] for each in members}

    def runs(self) -> list[tuple[str, str]]:
        """(job, log) of every run, oldest first, once all are over."""
        found = [run for name in NAMES for run in self.server.runs(name)]
        for run in found:
            self.server.over(f"/runs/{run['id']}")
        return [(run["job"], self.server.log_of(run)) for run in sorted(found, key=lambda run: run["id"])]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JobyardServer]:
    with jobyard_server(tmp_path / "data") as server:
        yield server


@pytest.fixture
def shop(server: JobyardServer, host: Callable[[JobyardServer], HostedJob]) -> Shop:
    return Shop(host(server))


def test_from_push_to_production(shop: Shop, server: JobyardServer) -> None:
    first = shop.deployed(shop.hosted.push(files("one")))
    assert (first["status"], first["warning"]) == ("succeeded", "")
    (digest,) = shop.digests("development")
    assert digest is not None
    assert shop.digests("staging") == shop.digests("production") == {None}
    assert shop.promote("shop-development")["status"] == "succeeded"
    assert shop.promote("shop-staging")["status"] == "succeeded"
    assert shop.digests("staging") == shop.digests("production") == {digest}
    assert len(server.builds("migrate-development")) == 1
    assert shop.runs() == [
        entry
        for stage in STAGES
        for entry in [
            (f"migrate-{stage}", "migrate of one\nmigrated\n"),
            (f"nightly-{stage}", "nightly of one\n"),
            (f"smoke-{stage}", "smoke of one\n"),
        ]
    ]
    stages = server.api("GET", "/projects/acme/pipelines/main")["stages"]
    commits = {
        job["deployed"]["sha"] for stage in stages for each in stage["components"] for job in each["jobs"]
    }
    assert commits == {first["sha"]}


def test_a_broken_migration_leaves_the_old_image_live(shop: Shop) -> None:
    first = shop.deployed(shop.hosted.push(files("one")))
    assert first["status"] == "succeeded"
    live = shop.digests("development")
    before = len(shop.runs())
    failed = shop.deployed(shop.hosted.push(files("two", migrate="exit 3")))
    assert failed["status"] == "failed"
    assert failed["warning"].endswith("pre-deploy job migrate-development did not succeed; nothing moved.")
    assert shop.digests("development") == live
    assert shop.runs()[before:] == [
        ("migrate-development", "migrate of two\n"),
        ("notice-development", "notice of two\n"),
    ]
    back = shop.server.api("POST", f"/deployments/{first['id']}/rollback", {})
    assert shop.over(back["id"])["status"] == "succeeded"
    assert len(shop.runs()) == before + 2, "hooks ran without being asked to"
    assert shop.server.api("POST", "/projects/acme/apps/shop-development/release-hold")["held_by"] is None


def test_a_migration_that_breaks_in_staging_stops_there(shop: Shop, server: JobyardServer) -> None:
    shop.deployed(shop.hosted.push(files("one")))
    shop.promote("shop-development")
    shop.promote("shop-staging")
    live = shop.digests("production")
    server.api("PATCH", "/projects/acme/jobs/migrate-staging", {"env": {"STAGE": "staging"}})
    shop.deployed(shop.hosted.push(files("two", migrate='test "$STAGE" != staging')))
    before = len(shop.runs())
    assert shop.promote("shop-development")["status"] == "failed"
    assert shop.digests("staging") == shop.digests("production") == live != shop.digests("development")
    assert shop.runs()[before:] == [
        ("migrate-staging", "migrate of two\n"),
        ("notice-staging", "notice of two\n"),
    ]


@pytest.mark.parametrize("kind", ["build", "pre_deploy", "post_deploy"])
def test_killed_in_the_middle_of_a_deployment(shop: Shop, server: JobyardServer, kind: str) -> None:
    push = shop.hosted.push(files("one", migrate="sleep 1; echo migrated"))
    server.settled(push)

    def is_reached() -> bool:
        (deployment,) = shop.deployments("development")
        return any(step["kind"] == kind and step["status"] != "waiting" for step in deployment["steps"])

    server.wait_for(f"the step {kind} has begun", is_reached)
    server.kill()
    server.start()
    assert shop.deployed(push)["status"] == "succeeded"
    assert None not in shop.digests("development")
    assert [log for _, log in shop.runs()] == [
        "migrate of one\nmigrated\n",
        "nightly of one\n",
        "smoke of one\n",
    ]
