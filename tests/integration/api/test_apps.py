"""Apps, deployments, pipelines and promotions through the API; the deployer is stepped by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.domain.errors import Conflict
from app.domain.runs import Outcome, Run, RunStatus
from app.store import runs
from app.workers.deployments import Deployer
from tests.support.yard import Caller, attempt_ends, build_succeeds

P = "/projects/acme"
APPS, JOBS, PIPELINES = f"{P}/apps", f"{P}/jobs", f"{P}/pipelines"
URL = "https://github.com/acme/shop"
ONE, TWO, THREE = ("sha256:" + each * 64 for each in "123")
A, B = "a" * 40, "b" * 40


def job(caller: Caller, name: str, **fields: Any) -> Any:
    source = {"type": "git", "git": {"url": URL, "webhook_secret": "hook secret"}}
    return caller.made(JOBS, {"name": name, "source": source, "run_on_image_change": "cd-promote", **fields})


def empty_job(caller: Caller, name: str, **fields: Any) -> Any:
    return job(caller, name, source={"type": "none"}, **fields)


@pytest.fixture
def shop(admin: Caller) -> Caller:
    """An app of a hook and a component, built from a repository, and its peer in production without a source."""
    for stage, make in (("", job), ("-live", empty_job)):
        make(admin, f"migrate{stage}", deploy_trigger="pre-deploy")
        make(admin, f"web{stage}")
        admin.made(APPS, {"name": f"shop{stage}", "jobs": [f"migrate{stage}", f"web{stage}"]})
    stages = [
        {"name": "staging", "components": ["shop"]},
        {"name": "production", "components": ["shop-live"]},
    ]
    admin.made(PIPELINES, {"name": "main", "stages": stages})
    return admin


def settle(caller: Caller) -> None:
    """Every deployment to its end; all runs succeed."""
    yard = caller.yard
    deployer = Deployer(yard.db, yard.clock, yard.names)
    while True:
        while deployer.step():
            pass
        queued = [run for run in all_runs(caller) if run.status is RunStatus.QUEUED]
        if not queued:
            return
        for _ in queued:
            attempt_ends(yard, Outcome(None, 0))


def all_runs(caller: Caller) -> Sequence[Run]:
    """Newest first."""
    with caller.yard.db.read() as tx:
        return runs.page(tx, limit=100)


def deployed(caller: Caller, sha: str, digest: str) -> Any:
    """A deployment of a commit of app shop, live."""
    made = caller.made(f"{APPS}/shop/deployments", {"sha": sha})
    build_succeeds(caller.yard, digest_=digest)
    settle(caller)
    return caller.got(f"/deployments/{made['id']}")


def digests(caller: Caller, app: str) -> dict[str, str | None]:
    members = caller.got(f"{APPS}/{app}")["members"]
    return {each["job"]: each["deployed"] and each["deployed"]["digest"] for each in members}


def refused(caller: Caller, path: str, body: Any, status: int, sentence: str) -> None:
    """Nothing is made or moved by a request that is refused with one sentence."""
    before = everything(caller)
    answer = caller.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert sentence in answer.json()["detail"]
    assert everything(caller) == before


def everything(caller: Caller) -> object:
    lists = [caller.got(path)["items"] for path in (JOBS, APPS, PIPELINES, "/decisions")]
    return lists, all_runs(caller)


# apps


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


# deployments


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
        build_succeeds(shop.yard, digest_=ONE)
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


# rollback


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
    caller = Caller(replace(shop.yard, missing_images=lambda images: frozenset(images.values())))
    made = caller.made("/deployments/1/rollback")
    (step, *_) = made["steps"]
    assert (made["phase"], step["kind"]) == ("building", "build")
    again = shop.got(f"/builds/{step['build']}")
    assert (again["sha"], again["trigger"]["type"], again["status"]) == (A, "rebuild", "queued")
    said = shop.got("/decisions")["items"][0]
    assert (said["verdict"], said["rule"], said["build"]) == ("queued", "image_gone", again["id"])
    build_succeeds(shop.yard, digest_=THREE)
    settle(shop)
    assert set(digests(shop, "shop").values()) == {THREE}
    assert shop.got(f"{APPS}/shop")["held_by"] == made["id"]


def test_a_rollback_to_an_image_that_is_refused_changes_nothing(shop: Caller) -> None:
    deployed(shop, A, ONE)
    deployed(shop, B, TWO)

    def refuse(images: Mapping[int, str]) -> frozenset[str]:
        raise Conflict(f"Image {next(iter(images.values()))} can't be had, so nothing was changed.")

    caller = Caller(replace(shop.yard, missing_images=refuse))
    refused(caller, "/deployments/1/rollback", {}, 409, "can't be had")
    assert len(shop.got(f"{APPS}/shop/deployments")["items"]) == 2


def test_only_what_was_live_is_rolled_back_to(shop: Caller) -> None:
    made = shop.made(f"{APPS}/shop/deployments", {"sha": A})
    refused(shop, f"/deployments/{made['id']}/rollback", {}, 409, "only one that succeeded")


# pipelines and promotions


def test_a_pipeline_shows_what_is_where(shop: Caller) -> None:
    deployed(shop, A, ONE)
    stages = shop.got(f"{PIPELINES}/main")["stages"]
    places = [(stage["name"], each["name"], each["kind"]) for stage in stages for each in stage["components"]]
    assert places == [("staging", "shop", "app"), ("production", "shop-live", "app")]
    web, web_live = (stage["components"][0]["jobs"][1] for stage in stages)
    assert (web["deployed"]["sha"], web["deployed"]["digest"], web_live["deployed"]) == (A, ONE, None)
    made = shop.made(PIPELINES, {"name": "plain"})
    assert [stage["name"] for stage in made["stages"]] == ["development", "staging", "production"]


@pytest.mark.parametrize(
    ("stages", "status", "sentence"),
    [
        ([], 422, "stages"),
        ([{"name": "a"}, {"name": "a"}], 422, "two are named a"),
        ([{"name": "a", "components": ["nothing"]}], 422, "which nothing is not"),
        ([{"name": "a", "components": ["shop"]}], 409, "shop is in stage staging of pipeline main already."),
        ([{"name": "a", "components": ["web"]}], 409, "Job web deploys with app shop: name the app instead."),
        ([{"name": "a", "components": ["free"]}, {"name": "b", "components": ["free"]}], 409, "free is in stage a"),
    ],
)  # fmt: skip
def test_a_pipeline_that_can_not_be(shop: Caller, stages: Any, status: int, sentence: str) -> None:
    empty_job(shop, "free")
    refused(shop, PIPELINES, {"name": "other", "stages": stages}, status, sentence)
    answer = shop.patch(f"{PIPELINES}/main", json={"stages": stages})
    if sentence.startswith("shop is"):
        assert answer.status_code == 200  # its own component may move
    else:
        assert answer.status_code == status


def test_a_component_is_never_in_doubt(shop: Caller) -> None:
    """A job and an app of one name: the job counts only where it is alone, and both can't be meant at once."""
    stages = [{"name": "a", "components": ["both"]}, {"name": "b", "components": ["free"]}]
    for name in ("both", "free", "third"):
        empty_job(shop, name)
    side = {"name": "side", "stages": stages}
    shop.made(PIPELINES, side)
    shop.made(APPS, {"name": "both", "jobs": ["third"]})
    answer = shop.patch(f"{PIPELINES}/side", json={"stages": stages})
    kinds = [stage["components"][0]["kind"] for stage in answer.json()["stages"]]
    assert kinds == ["job", "job"], "what is in the pipeline stays what it was"
    assert shop.delete(f"{PIPELINES}/side?confirm=side").status_code == 204
    refused(shop, PIPELINES, side, 409, "There is both a job and an app named both")
    assert shop.patch(f"{APPS}/both", json={"jobs": ["both"]}).status_code == 200
    made = shop.made(PIPELINES, side)
    assert made["stages"][0]["components"][0]["kind"] == "app"


def test_an_app_is_promoted_by_digest_with_its_hooks(shop: Caller) -> None:
    deployed(shop, A, ONE)
    builds = len(shop.got(f"{JOBS}/web/builds")["items"])
    made = shop.made(f"{PIPELINES}/main/promotions", {"component": "shop"})
    assert (made["from"], made["to"]) == ("shop", "shop-live")
    assert made["images"] == {"migrate-live": ONE, "web-live": ONE}
    settle(shop)
    deployment = shop.got(f"/deployments/{made['deployment']}")
    assert (deployment["status"], deployment["cause"], deployment["app"]) == (
        "succeeded",
        "promotion",
        "shop-live",
    )
    assert digests(shop, "shop-live") == {"migrate-live": ONE, "web-live": ONE}
    assert len(shop.got(f"{JOBS}/web/builds")["items"]) == builds
    newest = [(run.job, run.trigger.type) for run in all_runs(shop)]
    assert newest[:2] == [("web-live", "promotion"), ("migrate-live", "pre_deploy")]
    assert shop.got(f"{PIPELINES}/main/promotions")["items"] == [made]


def test_a_job_is_promoted(admin: Caller) -> None:
    job(admin, "report")
    job(admin, "report-live")
    stages = [
        {"name": "staging", "components": ["report"]},
        {"name": "production", "components": ["report-live"]},
    ]
    admin.made(PIPELINES, {"name": "main", "stages": stages})
    admin.made(f"{JOBS}/report/builds", {"sha": A})
    build_succeeds(admin.yard, digest_=ONE)
    made = admin.made(f"{PIPELINES}/main/promotions", {"from": "report", "to": "report-live"})
    assert made["deployment"] is None
    live = admin.got(f"{JOBS}/report-live")
    assert (live["deployed"]["digest"], live["deployed"]["sha"], live["cd_enabled"]) == (ONE, A, False)
    decision = admin.got(f"{JOBS}/report-live/why")["items"][0]
    assert (decision["event"]["type"], decision["verdict"]) == ("promotion", "started")
    assert admin.delete(f"{JOBS}/report?confirm=report").status_code == 409


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"component": "shop"}, 409, "Nothing is deployed to shop"),
        ({"component": "nothing"}, 422, "nothing is no component of pipeline main."),
        ({"component": "shop", "to_stage": "nowhere"}, 422, "nowhere is no stage of pipeline main"),
        ({"from": "shop", "to": "nothing"}, 422, "nothing is no component of pipeline main."),
        ({"component": "shop-live"}, 409, "production is the last stage of pipeline main."),
        ({"from": "shop-live", "to": "shop"}, 409, "production is the last stage"),
        ({"from": "shop", "to": "shop"}, 409, "Images move forward"),
        ({}, 422, "The body must have one of from and component."),
        ({"from": "shop", "component": "shop"}, 422, "one of from and component"),
        ({"from": "shop", "to": "shop-live", "to_stage": "production"}, 422, "both of to and to_stage"),
    ],
)
def test_a_promotion_that_makes_no_sense(shop: Caller, body: Any, status: int, sentence: str) -> None:
    refused(shop, f"{PIPELINES}/main/promotions", body, status, sentence)


def test_a_deploy_to_paused_jobs_wants_to_be_confirmed(shop: Caller) -> None:
    """As a single one does: of a commit, of builds, of the latest ones, and back."""
    first = deployed(shop, A, ONE)
    deployed(shop, B, TWO)
    shop.made(f"{JOBS}/web/pause")
    path, asks = f"{APPS}/shop/deployments", "Job web is paused: confirm with confirm_paused to deploy to it"
    for what in ({"sha": A}, {"builds": [1]}, {}):
        refused(shop, path, what, 409, asks)
    refused(shop, f"/deployments/{first['id']}/rollback", {}, 409, asks)
    assert len(shop.got(path)["items"]) == 2
    back = shop.made(f"/deployments/{first['id']}/rollback", {"confirm_paused": True})
    settle(shop)
    assert digests(shop, "shop")["web"] == ONE
    shop.made(f"{APPS}/shop/release-hold")
    for what in ({"sha": B}, {"builds": [2]}, {}):
        shop.made(path, {**what, "confirm_paused": True})
        settle(shop)
        assert digests(shop, "shop")["web"] == TWO
    assert back["status"] in ("pending", "running")


def test_a_promotion_to_a_paused_job_wants_to_be_confirmed(shop: Caller) -> None:
    deployed(shop, A, ONE)
    shop.made(f"{JOBS}/web-live/pause")
    path = f"{PIPELINES}/main/promotions"
    refused(shop, path, {"component": "shop"}, 409, "Job web-live is paused: confirm with confirm_paused")
    shop.made(path, {"component": "shop", "confirm_paused": True})
    settle(shop)
    assert digests(shop, "shop-live")["web-live"] == ONE
    assert shop.got(f"{JOBS}/web-live/runs")["items"] == []


def test_only_an_administrator_skips_a_stage(shop: Caller) -> None:
    deployed(shop, A, ONE)
    stages = [
        {"name": "staging", "components": ["shop"]},
        {"name": "between"},
        {"name": "production", "components": ["shop-live"]},
    ]
    assert shop.patch(f"{PIPELINES}/main", json={"stages": stages}).status_code == 200
    path, body = f"{PIPELINES}/main/promotions", {"component": "shop", "to_stage": "production"}
    refused(shop, path, body, 409, "between comes between")
    refused(shop, path, {"component": "shop"}, 409, "Stage between has no app that is the peer of shop")
    operator = shop.with_token("operator")
    assert operator.post(path, json={**body, "skip_stages": True}).status_code == 403
    shop.made(path, {**body, "skip_stages": True})
    settle(shop)
    assert set(digests(shop, "shop-live").values()) == {ONE}


def test_a_promotion_is_rehearsed(shop: Caller) -> None:
    body = {"promotion": {"project": "acme", "pipeline": "main", "component": "shop"}}
    refused(shop, "/plan", body, 409, "Nothing is deployed to shop")
    deployed(shop, A, ONE)
    before = everything(shop)
    answer = shop.post("/plan", json=body).json()
    assert answer["sentence"] == "Of 2 jobs, none would be built, 2 deployed and 2 run; nothing was done."
    assert [(each["job"], each["deploy"]["rule"]) for each in answer["items"]] == [
        ("migrate-live", "hook"),
        ("web-live", "run_on_image_change:cd-promote"),
    ]
    assert everything(shop) == before


# builds that components share


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
