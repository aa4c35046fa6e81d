"""Pipelines and promotions by the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api import Caller, build_succeeds
from tests.support.shop import (
    APPS,
    JOBS,
    ONE,
    PIPELINES,
    TWO,
    A,
    B,
    all_runs,
    deployed,
    digests,
    empty_job,
    everything,
    job,
    refused,
    settle,
)


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
    build_succeeds(admin.context, digest_=ONE)
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
