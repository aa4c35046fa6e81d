"""What the API refuses about apps, credentials, deploys, pipelines, tokens and sessions, word by word."""

from __future__ import annotations

from typing import Any

import pytest

from app.commands.deployments import begin_deployment
from app.commands.passwords import Places
from app.commands.sessions import Client
from app.commands.sign_in import Desk, sign_in
from app.domain.deployments import Cause
from app.domain.errors import Busy
from app.store import apps
from tests.support.api import Caller

P = "/projects/acme"
IMAGE = {"type": "image", "image": "registry.example.com/acme/tool:1"}


def detail(answer: Any) -> str:
    assert answer.is_client_error, answer.text
    return str(answer.json()["detail"])


@pytest.fixture
def shop(admin: Caller) -> Caller:
    """Jobs web, which app shop has, and lone, which stage one of pipeline main has by itself; a registry credential."""
    for name in ("web", "lone"):
        admin.made(f"{P}/jobs", {"name": name})
    admin.made(f"{P}/apps", {"name": "shop", "jobs": ["web"]})
    admin.made(f"{P}/pipelines", {"name": "main", "stages": [{"name": "one", "components": ["lone"]}]})
    return admin


def test_of_apps(shop: Caller) -> None:
    assert (
        detail(shop.post(f"{P}/apps/shop/release-hold"))
        == "App shop is not held: pushes deploy it as its jobs say."
    )
    assert (
        detail(shop.post(f"{P}/apps", json={"name": "other", "jobs": ["lone"]}))
        == "Job lone is in stage one of pipeline main by itself: take it out there first."
    )
    with shop.context.db.write() as tx:
        app, now = apps.named(tx, "acme", "shop"), shop.context.clock.now()
        begin_deployment(tx, app, cause=Cause.API, by="ada", sentence="Deploy by ada.", now=now)
    assert (
        detail(shop.delete(f"{P}/apps/shop?confirm=shop"))
        == "Deployment 1 of app shop is not over: cancel it or wait."
    )


def test_of_credentials(shop: Caller) -> None:
    given = {"kind": "registry", "host": "registry.example.com", "username": "ada", "secret": "the secret"}
    shop.made(f"{P}/credentials", {"name": "hub", **given})
    shop.made(f"{P}/jobs", {"name": "tool", "source": {**IMAGE, "credential": "hub"}})
    assert (
        detail(shop.delete(f"{P}/credentials/hub?confirm=hub"))
        == "Credential hub is in use by job tool: name another there first."
    )


def test_of_deploys(shop: Caller) -> None:
    path = f"{P}/jobs/lone/deploy"
    assert (
        detail(shop.post(path, json={})) == 'build is missing: give the id of a build, "latest", or an image.'
    )
    assert (
        detail(shop.post(path, json={"build": 1, "image": "busybox"}))
        == "image can't be set together with build: give one of them."
    )


def test_of_pipelines(shop: Caller) -> None:
    def of(*stages: tuple[str, list[str]]) -> str:
        given = [{"name": name, "components": components} for name, components in stages]
        return detail(shop.post(f"{P}/pipelines", json={"name": "other", "stages": given}))

    assert of(("one", ["nothing"])) == "stages must name jobs and apps of project acme, which nothing is not."
    assert of(("one", []), ("one", [])) == "stages must have names of their own, and two are named one."
    shop.made(f"{P}/jobs", {"name": "shop"})
    assert of(("one", ["shop"])) == (
        "There is both a job and an app named shop, and a pipeline knows its components by name: make one of them anew"
        " under another."
    )


def test_of_tokens(shop: Caller) -> None:
    token = {"name": "ci", "role": "viewer"}
    past = "2020-01-01T00:00:00Z"
    assert (
        detail(shop.post("/tokens", json={**token, "expires_at": past}))
        == "expires_at must be in the future, not 2020-01-01T00:00:00+00:00."
    )
    assert (
        detail(shop.post("/tokens", json={**token, "project": "nothing"}))
        == "project must name a project, not 'nothing'."
    )


def test_of_sign_in(shop: Caller) -> None:
    """The ninth who waits for the slow check of a password."""
    desk = Desk(strangers=Places(waiting=0, at_once=1))
    with pytest.raises(Busy) as busy:
        sign_in(
            shop.context.db,
            desk,
            "ada",
            "a wrong password",
            Client("192.0.2.1"),
            shop.context.clock.now(),
            None,
        )
    assert str(busy.value) == "Too many are logging in at once: try again in a moment."
