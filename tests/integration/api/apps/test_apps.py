"""Apps, their deployments and rollbacks by the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.domain.errors import Conflict
from tests.support.api import Caller, build_succeeds
from tests.support.shop import (
    APPS,
    JOBS,
    ONE,
    PIPELINES,
    THREE,
    TWO,
    A,
    B,
    all_runs,
    deployed,
    digests,
    empty_job,
    job,
    refused,
    settle,
)


def test_an_app_and_its_jobs(shop: Caller) -> None:
    app = shop.got(f"{APPS}/shop")
    assert app["jobs"] == ["migrate", "web"]
    assert [(each["job"], each["deploy_trigger"]) for each in app["members"]] == [
        ("migrate", "pre-deploy"),
        ("web", None),
    ]
    assert shop.got(f"{JOBS}/web")["app"] == "shop"
    assert [each["name"] for each in shop.got(APPS)["items"]] == ["shop-live", "shop"]
    job(shop, "smoke")
    changed = shop.patch(
        f"{APPS}/shop", json={"jobs": ["web", "smoke", "migrate"], "hooks": ["smoke"]}
    ).json()
    assert [(each["job"], each["deploy_trigger"]) for each in changed["members"]] == [
        ("web", None),
        ("smoke", "post-deploy"),
        ("migrate", "pre-deploy"),
    ]
    assert shop.patch(f"{JOBS}/smoke", json={"deploy_trigger": "failed-deploy"}).status_code == 200
    assert shop.got(f"{APPS}/shop")["members"][1]["deploy_trigger"] == "failed-deploy"


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"name": "x", "jobs": []}, 422, "jobs"),
        (
            {"name": "x", "jobs": ["nothing"]},
            422,
            "jobs must name jobs of project acme, which nothing is not.",
        ),
        ({"name": "x", "jobs": ["free", "free"]}, 422, "jobs names free twice."),
        ({"name": "x", "jobs": ["free"], "hooks": ["web"]}, 422, "hooks must be among the app's jobs"),
        ({"name": "x", "jobs": ["free", "web"]}, 409, "Job web is in app shop already."),
        ({"name": "shop", "jobs": ["free"]}, 409, "There is an app named shop in this project already."),
    ],
)
def test_an_app_that_can_not_be(shop: Caller, body: Any, status: int, sentence: str) -> None:
    empty_job(shop, "free")
    refused(shop, APPS, body, status, sentence)


def test_what_is_in_use_is_not_deleted(shop: Caller) -> None:
    answer = shop.delete(f"{JOBS}/web?confirm=web")
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "Job web is in app shop: take it out of the app first.",
    )
    answer = shop.delete(f"{APPS}/shop?confirm=shop")
    assert answer.status_code == 409
    assert "stage staging of pipeline main" in answer.json()["detail"]
    assert shop.delete(f"{PIPELINES}/main?confirm=main").status_code == 204
    assert shop.delete(f"{APPS}/shop?confirm=shop").status_code == 204
    assert shop.delete(f"{JOBS}/web?confirm=web").status_code == 204


def test_a_cron_job_is_no_hook(admin: Caller) -> None:
    body = {"name": "x", "kind": "cron", "schedule": {"cron": "@daily"}, "deploy_trigger": "pre-deploy"}
    refused(admin, JOBS, body, 422, "deploy_trigger is only for jobs of kind manual")


def test_a_commit_is_built_once_and_deployed(shop: Caller) -> None:
    deployment = deployed(shop, A, ONE)
    assert len(shop.got(f"{JOBS}/web/builds")["items"]) == 1
    assert (deployment["status"], deployment["cause"], deployment["sha"]) == ("succeeded", "api", A)
    assert [(step["kind"], step["job"], step["status"]) for step in deployment["steps"]] == [
        ("build", None, "succeeded"),
        ("pre_deploy", "migrate", "succeeded"),
        ("move", None, "succeeded"),
    ]
    assert deployment["snapshot"]["web"]["digest"] == ONE
    assert digests(shop, "shop") == {"migrate": ONE, "web": ONE}
    assert not shop.got(f"{JOBS}/web")["cd_enabled"]
    said = shop.got(f"{JOBS}/web/why")["items"][0]["sentence"]
    assert said.startswith("Deployment 1 has aaaaaaa for job web (CD is off now), the image moves")
    assert [run.trigger.type for run in all_runs(shop)] == ["pre_deploy"]


def test_the_latest_builds_keep_cd_on(shop: Caller) -> None:
    refused(
        shop,
        f"{APPS}/shop/deployments",
        {},
        409,
        "No job of app shop has a build of its branch that succeeded yet.",
    )
    for name in ("migrate", "web"):
        shop.made(f"{JOBS}/{name}/builds", {"sha": A})
        build_succeeds(shop.context, digest_=ONE)
        settle(shop)
    made = shop.made(f"{APPS}/shop/deployments")
    settle(shop)
    assert shop.got(f"/deployments/{made['id']}")["status"] == "succeeded"
    assert shop.got(f"{JOBS}/web")["cd_enabled"]
    assert "CD is off" not in shop.got(f"{JOBS}/web/why")["items"][0]["sentence"]
    assert digests(shop, "shop")["web"] == ONE


def test_builds_are_deployed_by_id(shop: Caller) -> None:
    deployed(shop, A, ONE)
    deployed(shop, B, TWO)
    path = f"{APPS}/shop/deployments"
    shop.made(path, {"builds": [1]})
    settle(shop)
    assert set(digests(shop, "shop").values()) == {ONE}
    refused(shop, path, {"builds": [1, 2]}, 422, "builds 1 and 2 are both for job migrate")
    refused(shop, path, {"builds": [77]}, 422, "which build 77 is not")
    refused(shop, path, {"builds": [1], "sha": A}, 422, "builds can't be given together with sha")
    refused(shop, f"{APPS}/shop-live/deployments", {"sha": A}, 409, "built from a repository")


def test_a_deployment_is_cancelled_before_its_images_move(shop: Caller) -> None:
    made = shop.made(f"{APPS}/shop/deployments", {"sha": A})
    assert shop.post(f"/deployments/{made['id']}/cancel").status_code == 202
    settle(shop)
    assert shop.got(f"/deployments/{made['id']}")["status"] == "cancelled"
    again = shop.post(f"/deployments/{made['id']}/cancel")
    assert (again.status_code, again.json()["detail"]) == (409, "Deployment 1 is over already: cancelled.")
    assert digests(shop, "shop") == {"migrate": None, "web": None}


def test_the_same_request_is_one_deployment(shop: Caller) -> None:
    path = f"{APPS}/shop/deployments"
    first, again = (shop.made(path, {"sha": A}, Idempotency_Key="k") for _ in range(2))
    assert first == again
    assert len(shop.got(path)["items"]) == 1


def test_a_rollback_and_its_release(shop: Caller) -> None:
    first = deployed(shop, A, ONE)
    deployed(shop, B, TWO)
    before = all_runs(shop)
    made = shop.made(f"/deployments/{first['id']}/rollback")
    assert made["sentence"] == "Rollback to deployment 1 by admin token."
    settle(shop)
    assert set(digests(shop, "shop").values()) == {ONE}
    assert all_runs(shop) == before, "hooks ran without being asked to"
    assert shop.got(f"{APPS}/shop")["held_by"] == made["id"]
    assert shop.made(f"{APPS}/shop/release-hold")["held_by"] is None
    refused(shop, f"{APPS}/shop/release-hold", {}, 409, "App shop is not held")


def test_a_rollback_to_an_image_that_is_gone_makes_it_again(shop: Caller) -> None:
    deployed(shop, A, ONE)
    deployed(shop, B, TWO)
    caller = Caller(replace(shop.context, missing_images=lambda images: frozenset(images.values())))
    made = caller.made("/deployments/1/rollback")
    (step, *_) = made["steps"]
    assert (made["phase"], step["kind"]) == ("building", "build")
    again = shop.got(f"/builds/{step['build']}")
    assert (again["sha"], again["trigger"]["type"], again["status"]) == (A, "rebuild", "queued")
    said = shop.got("/decisions")["items"][0]
    assert (said["verdict"], said["rule"], said["build"]) == ("queued", "image_gone", again["id"])
    build_succeeds(shop.context, digest_=THREE)
    settle(shop)
    assert set(digests(shop, "shop").values()) == {THREE}
    assert shop.got(f"{APPS}/shop")["held_by"] == made["id"]


def test_a_rollback_to_an_image_that_is_refused_changes_nothing(shop: Caller) -> None:
    deployed(shop, A, ONE)
    deployed(shop, B, TWO)

    def refuse(images: Mapping[int, str]) -> frozenset[str]:
        raise Conflict(f"Image {next(iter(images.values()))} can't be had, so nothing was changed.")

    caller = Caller(replace(shop.context, missing_images=refuse))
    refused(caller, "/deployments/1/rollback", {}, 409, "can't be had")
    assert len(shop.got(f"{APPS}/shop/deployments")["items"]) == 2


def test_only_what_was_live_is_rolled_back_to(shop: Caller) -> None:
    made = shop.made(f"{APPS}/shop/deployments", {"sha": A})
    refused(shop, f"/deployments/{made['id']}/rollback", {}, 409, "only one that succeeded")


@pytest.mark.parametrize(("other", "number"), [("hunter2", 1), ("hunter3", 2)])
def test_components_share_a_build_if_their_build_secrets_are_equal(
    admin: Caller, other: str, number: int
) -> None:
    for name, value in (("one", "hunter2"), ("two", other)):
        env = {"TOKEN": {"value": value, "secret": True, "scope": "build"}}
        job(admin, name, env=env)
    admin.made(APPS, {"name": "pair", "jobs": ["one", "two"]})
    admin.made(f"{APPS}/pair/deployments", {"sha": A})
    of_jobs = [admin.got(f"{JOBS}/{name}/builds")["items"] for name in ("one", "two")]
    assert all(len(items) == 1 for items in of_jobs)
    assert len({items[0]["id"] for items in of_jobs}) == number
