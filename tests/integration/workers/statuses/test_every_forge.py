"""A push as each forge tells of it, and what its own API is then told of the commit: pending, success, the reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.domain.events import repo_key
from app.domain.http import HttpAnswer, HttpRequest
from app.domain.lanes import lane_of
from app.store import deliveries
from app.store.deliveries import NewDelivery
from tests.support.github_api import GitHubDouble
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.senders import SENDERS, Sender
from tests.support.told_forge import ToldForge

API = "https://api.forge.example"
PLACES = {
    "github": "/repos/{name}/statuses/{sha}",
    "gitlab": "/projects/{quoted}/statuses/{sha}",
    "gitea": "/repos/{name}/statuses/{sha}",
}


@pytest.fixture(params=["github", "gitlab", "gitea", "forgejo"])
def sender(request: pytest.FixtureRequest) -> Sender:
    return SENDERS[request.param]


def arrive(place: Installation, sender: Sender, payload: Any, url: str) -> str:
    lane = lane_of([(place.project.id, repo_key(url))])
    scopes, body = (f"project:{place.project.id}",), json.dumps(payload).encode()
    name = sender.forge.repository_of(payload).full_name
    new = NewDelivery(sender.forge.name, "g1", "push", False, scopes, body, name, place.clock.now(), lane)
    deliveries.record(place.db, [new])
    sha = sender.forge.parse_push(payload).after
    assert sha is not None
    return sha


@pytest.mark.parametrize("is_built", [True, False])
def test_a_push_is_told_to_the_forge_that_told_of_it(
    place: Installation, server: Server, github: GitHubDouble, sender: Sender, is_built: bool
) -> None:
    asked: list[HttpRequest] = []

    def send(request: HttpRequest) -> HttpAnswer:
        asked.append(request)
        return HttpAnswer(201, body=b"{}")

    payload = sender.load("update")
    repository = sender.forge.repository_of(payload)
    url = next(each for each in repository.urls if each.startswith("http"))
    told = ToldForge(place, github)
    told.worker = told.another(send=send)
    told.allow(host=repo_key(url).partition("/")[0], name="forge", api_url=API)
    place.job(source__url=url, source__repo_key=repo_key(url), ci_enabled=is_built)
    sha = arrive(place, sender, payload, url)
    server.intake.step()
    told.tell()
    server.work()
    told.tell()
    path = PLACES[sender.forge.name].format(
        name=repository.full_name, quoted=repository.full_name.replace("/", "%2F"), sha=sha
    )
    assert {each.url for each in asked} == {f"{API}{path}"}
    said: list[Any] = [each.json for each in asked]
    assert [each["state"] for each in said] == (["pending", "success"] if is_built else ["success"])
    assert said[-1]["description"].startswith(
        "Run " if is_built else "CI is off: turn it on to build pushes."
    )
