"""Every operation, for callers who may not: made from the operations themselves, so that none is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from app.domain.principals import Role
from app.store import deliveries
from app.store.deliveries import NewDelivery
from app.web.api import OPERATIONS
from app.web.api.operations import PREFIX, Operation
from app.web.server_context import ServerContext
from tests.support.api import API, Caller, stored_by
from tests.support.github import PEM
from tests.support.installation import Installation, Stored

JOBS = "/projects/acme/jobs"
EVERY = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
GUID = "d1c3"
NAMES = {
    "p": "acme",
    "j": "report",
    "c": "forge",
    "s": "images",
    "g": "mail",
    "t": "ops",
    "a": "shop",
    "ga": "octo",
    "pl": "main",
}
NAMES |= {"f": "release", "node": "ready"}


def furnish(admin: Caller) -> None:
    """One of everything in project acme, with id 1, and an empty project beside it."""
    admin.made("/projects", {"name": "acme"})
    source = {
        "type": "git",
        "git": {"url": "https://github.com/acme/report", "webhook_secret": "the secret of the hook"},
    }
    admin.made("/projects", {"name": "beside"})
    admin.made(
        "/projects/acme/credentials", {"name": "forge", "kind": "git", "host": "github.com", "secret": "x"}
    )
    admin.made("/projects/acme/github-apps", {"name": "octo", "app_id": 4711, "private_key": PEM})
    admin.made("/projects/acme/build-services", {"name": "images", "git": source["git"]})
    told = {"name": "ops", "kind": "email", "address": "ops@example.com", "on": ["failure"]}
    admin.made("/projects/acme/notification-targets", told)
    admin.made("/projects/acme/secret-groups", {"name": "mail", "env": {"HOST": "mail.example.com"}})
    admin.made(JOBS, {"name": "report", "source": source, "kind": "cron", "schedule": {"cron": "0 6 * * *"}})
    admin.made(JOBS, {"name": "once", "source": {"type": "image", "image": "busybox"}})
    admin.made(f"{JOBS}/report/builds")
    admin.made(f"{JOBS}/once/runs")
    admin.made("/projects/acme/apps", {"name": "shop", "jobs": ["report"]})
    admin.made("/projects/acme/apps/shop/deployments", {"sha": "a" * 40})
    admin.made(
        "/projects/acme/pipelines", {"name": "main", "stages": [{"name": "one", "components": ["shop"]}]}
    )
    admin.made("/projects/acme/flows", {"name": "release", "nodes": [{"name": "ready", "type": "approval"}]})
    admin.made("/projects/acme/flows/release/runs")
    deliveries.record(admin.context.db, [_delivery(admin.context)])


@pytest.fixture(scope="module")
def furnished() -> Stored:
    return stored_by(furnish)


@pytest.fixture
def full(tmp_path: Path, furnished: Stored) -> Iterator[Caller]:
    with Installation.bare(tmp_path, stored=furnished) as place:
        yield Caller(place.web)


def _delivery(context: ServerContext) -> NewDelivery:
    return NewDelivery(
        "github", GUID, "push", False, ("source:2",), b"{}", "acme/report", context.clock.now()
    )


def call(caller: Caller, operation: Operation, **names: str) -> Any:
    id_ = GUID if operation.path.startswith("/deliveries") else "1"
    path = operation.path.format(**{**NAMES, "id": id_, **names})
    body = {"json": example_of(operation.body)} if operation.method in ("POST", "PATCH") else {}
    return caller.request(operation.method, path, params=example_of(operation.query), **body)


def example_of(form: type[BaseModel]) -> Any:
    examples = (form.model_config.get("json_schema_extra") or {}).get("examples")  # type: ignore[union-attr]
    return examples[0] if examples else {}  # type: ignore[index]


@EVERY
def test_nobody_is_refused(context: ServerContext, operation: Operation) -> None:
    for token in (None, "wrong"):
        answer = call(Caller(context, token), operation)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["detail"]


@EVERY
def test_a_viewer_reads_and_changes_nothing(full: Caller, operation: Operation) -> None:
    answer = call(full.with_token("viewer"), operation)
    if operation.role is Role.VIEWER:
        assert operation.method == "GET"
        assert answer.status_code == 200, answer.text
    else:
        assert answer.status_code == 403
        assert "viewer" in answer.json()["detail"]


@EVERY
def test_an_operator_does_what_is_no_administration(full: Caller, operation: Operation) -> None:
    answer = call(full.with_token("operator"), operation)
    changes_a_switch = operation.path.endswith("/resume")  # as its example says
    assert (answer.status_code == 403) == (operation.role is Role.ADMIN or changes_a_switch), answer.text


@EVERY
def test_a_token_of_another_project_finds_nothing(full: Caller, operation: Operation) -> None:
    answer = call(full.with_token("admin", "beside"), operation)
    for name in (*NAMES.values(), GUID):
        known = name in operation.path.format(**NAMES, id=GUID) or operation.path == "/apply"  # which says it
        assert known or name not in answer.text
    if operation.path == "/me":
        assert [each["project"] for each in answer.json()["grants"]] == ["beside"]
    elif operation.path == "/export":
        assert answer.text.startswith("project: beside\n")
    elif operation.path == "/apply":
        assert "There is no project acme, or not for this token." in answer.text
    elif operation.path == "/audit":
        assert {each["about"]["project"] for each in answer.json()["items"]} == {"beside"}
    elif (
        operation.path in ("/projects", "/runs", "/builds", "/deliveries", "/decisions")
        and operation.method == "GET"
    ):
        assert answer.status_code == 200
        assert [item["name"] for item in answer.json()["items"]] in ([], ["beside"])
    elif operation.path.startswith(
        ("/projects/", "/builds/", "/runs/", "/deployments/", "/flows/", "/deliveries/", "/plan")
    ):
        assert answer.status_code == 404, answer.text
    else:
        assert answer.status_code == 403, answer.text


@EVERY
def test_what_is_out_of_reach_looks_as_if_it_did_not_exist(full: Caller, operation: Operation) -> None:
    stranger = full.with_token("admin", "beside")
    if "{" not in operation.path or operation.path == "/tokens/{id}":
        return
    there, missing = call(stranger, operation), call(stranger, operation, p="nowhere", id="77")
    told = there.json()["detail"].replace("acme", "nowhere").replace(GUID, "77").replace(" 1,", " 77,")
    assert (missing.status_code, missing.json()["detail"]) == (there.status_code, told)


def test_a_token_for_one_project_does_all_there(full: Caller) -> None:
    of_acme = full.with_token("admin", "acme")
    assert [project["name"] for project in of_acme.got("/projects")["items"]] == ["acme"]
    assert of_acme.got(f"/deliveries/{GUID}")["status"] == "received"
    assert [each["id"] for each in of_acme.got("/deliveries")["items"]] == [GUID]
    assert len(of_acme.got("/decisions")["items"]) == 3
    assert of_acme.got("/runs/once-00001")["id"] == 1
    assert of_acme.made(f"/deliveries/{GUID}/replay")["replays"] == 1
    assert of_acme.patch("/projects/acme", json={"webhook_secret": "another secret of it"}).status_code == 200


def test_a_delivery_for_several_projects_is_replayed_by_who_sees_them_all(full: Caller) -> None:
    shared = NewDelivery(
        "github",
        "5ha7ed",
        "push",
        False,
        ("source:2", "project:2"),
        b"{}",
        "acme/report",
        full.context.clock.now(),
    )
    deliveries.record(full.context.db, [shared])
    assert full.with_token("operator", "acme").post("/deliveries/5ha7ed/replay").status_code == 403
    assert full.made("/deliveries/5ha7ed/replay")["status"] == "received"


def test_an_expired_and_a_revoked_token_are_nobody(admin: Caller) -> None:
    made = admin.made("/tokens", {"name": "ci", "role": "viewer", "expires_at": "2026-01-31T13:00:00Z"})
    ci = Caller(admin.context, made["token"])
    assert ci.get("/projects").status_code == 200
    assert admin.got("/tokens")["items"][0]["last_used_at"] == "2026-01-31T12:00:00Z"
    admin.context.clock.advance(hours=1)  # type: ignore[attr-defined]
    assert ci.get("/projects").status_code == 401
    made = admin.made("/tokens", {"name": "other", "role": "viewer"})
    assert admin.delete(f"/tokens/{made['id']}?confirm=other").status_code == 204
    assert Caller(admin.context, made["token"]).get("/projects").status_code == 401
    assert made["token"] not in admin.get("/tokens").text


def test_the_prefix_is_the_public_one() -> None:
    assert PREFIX == API == "/api/v1"
