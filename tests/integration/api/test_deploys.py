"""Images are held by digest: deploys by tag, promotions of what was deployed or only ran, and what paused jobs ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.domain.builds import BuildReason
from app.domain.errors import EngineUnavailable, InvalidValue
from app.domain.job.records import Deployed, Pinned
from app.domain.runs import Outcome
from app.store import builds, jobs, runs
from app.store.database import Tx
from app.web.server_context import ServerContext
from tests.support.api import Caller, attempt_ends, build_succeeds
from tests.support.server_context import pinned

P = "/projects/acme"
JOBS, PROMOTIONS = f"{P}/jobs", f"{P}/pipelines/main/promotions"
TAG = "registry.example.com/team/tool:v1"
GIT = {
    "type": "git",
    "git": {"url": "https://github.com/acme/report", "webhook_secret": "the secret of the hook"},
}


def image_job(caller: Caller, name: str, **fields: Any) -> None:
    caller.made(JOBS, {"name": name, "source": {"type": "image", "image": TAG}, **fields})


@pytest.fixture
def two(admin: Caller) -> Caller:
    """Two jobs of images, one after the other in a pipeline."""
    for name in ("st", "pr"):
        image_job(admin, name)
    stages = [{"name": "staging", "components": ["st"]}, {"name": "production", "components": ["pr"]}]
    admin.made(f"{P}/pipelines", {"name": "main", "stages": stages})
    return admin


def ran(caller: Caller, context: ServerContext, name: str, digest: str, **overrides: Any) -> str:
    """A run of a job to its success, with the image that the runner found for it; returns its name."""
    made = caller.made(f"{JOBS}/{name}/runs", overrides)
    attempt_ends(context, Outcome(None, 0))
    with context.db.write() as tx:
        _save_image(tx, made["name"], f"registry.example.com/team/tool@{digest}", digest)
    context.clock.advance(seconds=1)  # type: ignore[attr-defined]
    return str(made["name"])


def _save_image(tx: Tx, name: str, image: str, digest: str) -> None:
    row = tx.get_one(runs.RunRow, runs.named(tx, name).id)
    row.image, row.digest = image, digest


def digest_of(character: str) -> str:
    return "sha256:" + character * 64


def test_a_tag_is_resolved_when_it_is_deployed(two: Caller) -> None:
    answer = two.made(f"{JOBS}/st/deploy", {"image": TAG})
    deployed = answer["job"]["deployed"]
    assert (deployed["image"], deployed["digest"]) == (pinned(TAG).image, pinned(TAG).digest)
    assert answer["decision"]["sentence"].startswith(
        f"Image {TAG} ({pinned(TAG).digest[:19]}) deployed by admin token"
    )


def test_a_digest_is_asked_nobody_about(two: Caller) -> None:
    image = f"registry.example.com/team/tool@{digest_of('e')}"

    def never(_job: int, _image: str) -> Pinned:
        raise AssertionError

    caller = Caller(replace(two.context, pin_image=never))
    assert caller.made(f"{JOBS}/st/deploy", {"image": image})["job"]["deployed"]["digest"] == digest_of("e")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidValue("image", "image can't be had, so nothing was changed."), 422),
        (EngineUnavailable("Nobody answers, so nothing was changed: try again."), 503),
    ],
)
def test_a_tag_that_means_nothing_moves_nothing(two: Caller, error: Exception, status: int) -> None:
    def fails(_job: int, _image: str) -> Pinned:
        raise error

    caller = Caller(replace(two.context, pin_image=fails))
    for path, body in (
        (f"{JOBS}/st/deploy", {"image": TAG}),
        ("/plan", {"deploy": {"project": "acme", "job": "st", "image": TAG}}),
    ):
        answer = caller.post(path, json=body)
        assert (answer.status_code, answer.json()["detail"]) == (status, str(error))
    assert two.got(f"{JOBS}/st")["deployed"] is None
    assert two.got("/decisions")["items"] == []


def test_others_may_write_while_a_registry_is_asked(two: Caller) -> None:
    def asks(_job: int, image: str) -> Pinned:
        two.made(f"{JOBS}/pr/pause")
        return pinned(image)

    Caller(replace(two.context, pin_image=asks)).made(f"{JOBS}/st/deploy", {"image": TAG})
    assert two.got(f"{JOBS}/pr")["paused"]


def test_a_deploy_that_is_sent_again_is_answered_without_asking(two: Caller) -> None:
    asked: list[str] = []

    def asks(_job: int, image: str) -> Pinned:
        asked.append(image)
        return pinned(image)

    caller = Caller(replace(two.context, pin_image=asks))
    first = caller.made(f"{JOBS}/st/deploy", {"image": TAG}, Idempotency_Key="once")
    assert caller.made(f"{JOBS}/st/deploy", {"image": TAG}, Idempotency_Key="once") == first
    assert asked == [TAG]


def test_what_was_deployed_by_tag_is_promoted_by_its_digest(two: Caller) -> None:
    two.made(f"{JOBS}/st/deploy", {"image": TAG})
    made = two.made(PROMOTIONS, {"from": "st"})
    assert made["images"] == {"pr": pinned(TAG).digest}
    assert made["sentence"].startswith(f"{pinned(TAG).digest[:19]} promoted from st (staging) to pr")
    assert two.got(f"{JOBS}/pr")["deployed"]["digest"] == pinned(TAG).digest


def test_what_only_ran_is_promoted_as_it_ran(two: Caller) -> None:
    answer = two.post(PROMOTIONS, json={"from": "st"})
    assert answer.status_code == 409
    assert answer.json()["detail"] == (
        "Nothing is deployed to st, and no recent run with the image that it names succeeded, so there is nothing to"
        " promote."
    )
    name = ran(two, two.context, "st", digest_of("e"))
    ran(two, two.context, "st", digest_of("7"), image="registry.example.com/team/other:v3")  # not what it has
    made = two.made(PROMOTIONS, {"from": "st"})
    assert made["images"] == {"pr": digest_of("e")}
    assert made["sentence"].startswith(f"sha256:eeeeeeeeeeee, as run {name} had it, promoted from st")
    deployed = two.got(f"{JOBS}/pr")["deployed"]
    assert (deployed["image"], deployed["digest"]) == (
        f"registry.example.com/team/tool@{digest_of('e')}",
        digest_of("e"),
    )


def test_a_tag_of_old_is_promoted_as_it_ran_or_not_at_all(two: Caller) -> None:
    ran(two, two.context, "st", digest_of("7"))
    with two.context.db.write() as tx:
        job = jobs.named(tx, "acme", "st")
        jobs.deploy(tx, job.id, Deployed(TAG, "", None, None, "Deployed.", two.context.clock.now()))
    answer = two.post(PROMOTIONS, json={"from": "st"})
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith(
        f"What job st has is {TAG}, which may mean another image by now"
    )
    ran(two, two.context, "st", digest_of("e"))
    assert two.made(PROMOTIONS, {"from": "st"})["images"] == {"pr": digest_of("e")}


def test_a_paused_job_asks_before_it_is_deployed_or_promoted_to(two: Caller) -> None:
    for name in ("st", "pr"):
        two.made(f"{JOBS}/{name}/pause")
    for path, body in ((f"{JOBS}/st/deploy", {"image": TAG}), (PROMOTIONS, {"from": "st"})):
        answer = two.post(path, json=body)
        assert answer.status_code == 409
        assert "is paused: confirm with confirm_paused to" in answer.json()["detail"]
        two.made(path, {**body, "confirm_paused": True})
    assert two.got(f"{JOBS}/pr")["deployed"]["digest"] == pinned(TAG).digest


def test_a_plan_for_a_paused_job_says_that_it_has_to_be_agreed_to(two: Caller) -> None:
    two.made(f"{JOBS}/st/deploy", {"image": TAG})
    for name in ("st", "pr"):
        two.made(f"{JOBS}/{name}/pause")
    deploy = {"project": "acme", "job": "st", "image": TAG}
    promotion = {"project": "acme", "pipeline": "main", "from": "st"}
    for body in ({"deploy": deploy}, {"promotion": promotion}):
        (item,) = two.made("/plan", body)["items"]
        assert (item["would_deploy"], item["would_run"]) == (True, False)
        assert item["deploy"]["sentence"].endswith("It is refused without confirm_paused.")
    agreed = {"deploy": {**deploy, "confirm_paused": True}}
    assert "confirm_paused" not in two.made("/plan", agreed)["items"][0]["deploy"]["sentence"]


@pytest.mark.parametrize(
    ("body", "overridden", "said"),
    [
        (
            {"image": "busybox:latest", "command": "true"},
            ["image", "command"],
            " on image busybox:latest with",
        ),
        ({"build": 1}, ["build"], f" on build 1 of {'a' * 7}."),
        ({"sha": "a" * 40}, ["sha"], f" on build 1 of {'a' * 7}."),
        ({}, [], "Started by the API by admin token."),
    ],
)
def test_a_run_with_an_image_of_its_own_says_so(
    admin: Caller, body: dict[str, Any], overridden: list[str], said: str
) -> None:
    admin.made(JOBS, {"name": "report", "source": GIT})
    admin.made(f"{JOBS}/report/builds", {"sha": "a" * 40})
    build_succeeds(admin.context)
    run = admin.made(f"{JOBS}/report/runs", body)
    assert run["overridden"] == overridden
    assert said in run["trigger"]["cause"]


def test_cd_switched_on_by_a_patch_deploys_the_latest_build(admin: Caller) -> None:
    job = f"{JOBS}/report"
    admin.made(JOBS, {"name": "report", "source": GIT, "cd_enabled": False, "run_on_image_change": "always"})
    admin.made(f"{job}/builds")
    build_succeeds(admin.context)
    assert admin.got(job)["deployed"] is None
    plan = admin.made(
        "/plan", {"settings": {"project": "acme", "fields": {"name": "report", "cd_enabled": True}}}
    )
    assert (plan["deploy"]["verdict"], plan["deploy"]["rule"]) == ("deployed", "cd_on")
    assert admin.got(job)["deployed"] is None
    answer = admin.patch(job, json={"cd_enabled": True}).json()
    assert (answer["deployed"]["build"], admin.got(f"{job}/runs")["items"]) == (1, [])
    last = admin.got(f"{job}/why")["items"][0]
    assert (last["verdict"], last["rule"], last["sentence"]) == (
        "deployed",
        "cd_on",
        plan["deploy"]["sentence"],
    )
    decided = len(admin.got("/decisions")["items"])
    admin.patch(job, json={"cd_enabled": True, "retry_limit": 2})
    assert len(admin.got("/decisions")["items"]) == decided


def test_a_job_whose_latest_build_failed_is_failing(admin: Caller) -> None:
    admin.made(JOBS, {"name": "report", "source": GIT})
    admin.made(f"{JOBS}/report/builds")
    build_succeeds(admin.context)
    seen = admin.got(f"{JOBS}/report")
    assert (seen["failing"], seen["last_build"]["id"], seen["last_build"]["status"]) == (
        False,
        1,
        "succeeded",
    )
    admin.made(f"{JOBS}/report/builds")
    with admin.context.db.write() as tx:
        build = builds.claim(tx, "tests", admin.context.clock.now())
        assert build is not None
        builds.fail(tx, build, BuildReason.BUILD_FAILED, "It failed.", admin.context.clock.now())
    seen = admin.got(JOBS)["items"][0]
    assert (seen["failing"], seen["last_build"]["id"], seen["last_build"]["status"]) == (True, 2, "failed")
