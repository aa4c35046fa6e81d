"""Users by the API: invited, given rights, disabled, removed; and what somebody with several grants sees."""

from __future__ import annotations

import pytest

from app.commands.sessions import Client, open_session
from app.store import sessions, users
from app.web.principal import COOKIE
from tests.support.api import Caller

GRACE = {"name": "grace", "email": "grace@example.com", "role": "operator", "project": "acme"}


@pytest.fixture
def grace(admin: Caller) -> Caller:
    """Grace's browser: an operator in acme, a viewer in beside."""
    admin.made("/projects", {"name": "beside"})
    admin.made("/projects", {"name": "hidden"})
    made = admin.made("/users", GRACE)
    admin.made(f"/users/{made['id']}/grant", {"role": "viewer", "project": "beside"})
    return browser(admin, made["id"])


def browser(admin: Caller, user_id: int) -> Caller:
    context = admin.context
    with context.db.write() as tx:
        session = open_session(
            tx, context.clock.now(), context.desk.limits, Client("192.0.2.1", "Firefox"), user_id=user_id
        )
    caller = Caller(context, None)
    caller.cookies.set(COOKIE, session)
    caller.headers["Sec-Fetch-Site"] = "same-origin"
    return caller


def test_an_invitation_answers_with_its_link_once(admin: Caller) -> None:
    made = admin.made("/users", GRACE)
    assert made["status"] == "invited"
    assert made["grants"] == [{"role": "operator", "project": "acme"}]
    assert made["link"].startswith("https://jobyard.example.com/login/once/")
    assert made["link_expires_at"] == "2026-02-07T12:00:00Z"
    shown = admin.got(f"/users/{made['id']}")
    assert shown.pop("mail") is None
    assert shown == {name: made[name] for name in shown}
    assert "link" not in shown
    assert admin.got("/users")["items"] == [shown]
    for wrong, field in (
        ({"project": "nowhere"}, "project"),
        ({"name": ""}, "name"),
        ({"role": "god"}, "role"),
    ):
        problem = admin.post("/users", json={**GRACE, "name": "x", "email": None, **wrong})
        assert problem.status_code == 422
        assert problem.json()["errors"][0]["field"] == field
    assert admin.post("/users", json=GRACE).json()["detail"] == "There is a user named grace already."


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("GRACE", "There is a user named GRACE already."),
        ("\uff47race", "There is a user named \uff47race already."),  # a wide g
        ("Grace@Example.com", "There is a user named Grace@Example.com already."),
        ("Nobody", "The name Nobody stands for somebody who is no user: choose another."),
        ("admin token", "The name admin token stands for somebody who is no user: choose another."),
        ("token deployer", "The name token deployer stands for somebody who is no user: choose another."),
        ("the command line", "The name the command line stands for somebody who is no user: choose another."),
    ],
)
def test_nobody_can_be_taken_for_somebody_else_by_name(admin: Caller, name: str, said: str) -> None:
    admin.made("/users", GRACE)
    assert admin.post("/users", json={**GRACE, "name": name, "email": None}).json()["detail"] == said
    ada = admin.made("/users", {**GRACE, "name": "ada", "email": None})
    assert admin.patch(f"/users/{ada['id']}", json={"name": name}).json()["detail"] == said
    assert admin.patch(f"/users/{ada['id']}", json={"name": "Ada"}).json()["name"] == "Ada"


def test_nobody_gets_an_address_that_is_somebody_s_name(admin: Caller) -> None:
    admin.made("/users", {**GRACE, "name": "ada@example.com"})
    refused = admin.post("/users", json={**GRACE, "name": "ada", "email": "ada@example.com"})
    assert refused.json()["detail"] == "There is a user with the address ada@example.com already."


def test_what_a_token_did_is_told_from_what_a_user_of_its_name_did(admin: Caller, grace: Caller) -> None:
    admin.made("/projects/acme/jobs", {"name": "report", "source": {"type": "image", "image": "busybox"}})
    made = admin.made("/tokens", {"name": "grace", "scopes": ["run"]})
    by_token = Caller(admin.context, made["token"]).post("/projects/acme/jobs/report/runs", json={}).json()
    by_user = grace.post("/projects/acme/jobs/report/runs", json={}).json()
    assert by_token["trigger"]["cause"] == "Started by the API by token grace."
    assert by_user["trigger"]["cause"] == "Started manually by grace."


def test_somebody_with_two_grants_sees_and_does_as_each_says(admin: Caller, grace: Caller) -> None:
    image = {"source": {"type": "image", "image": "busybox"}}
    for project in ("acme", "beside", "hidden"):
        admin.made(f"/projects/{project}/jobs", {"name": f"in-{project}", **image})
        admin.made(f"/projects/{project}/jobs/in-{project}/runs")
    assert [each["name"] for each in grace.got("/projects")["items"]] == ["beside", "acme"]
    assert [each["project"] for each in grace.got("/runs")["items"]] == ["beside", "acme"]
    first = grace.got("/runs", limit=1)
    assert [each["project"] for each in first["items"]] == ["beside"]
    second = grace.got("/runs", limit=1, cursor=first["next"])
    assert ([each["project"] for each in second["items"]], second["next"]) == (["acme"], None)
    assert {each["project"] for each in grace.got("/decisions")["items"]} == {"acme", "beside"}
    assert grace.post("/projects/acme/jobs/in-acme/runs", json={}).status_code == 202
    refused = grace.post("/projects/beside/jobs/in-beside/runs", json={})
    assert refused.status_code == 403
    assert refused.json()["detail"] == "This needs the role operator; grace has operator, viewer."
    assert grace.post("/projects/hidden/jobs/in-hidden/runs", json={}).status_code == 404
    assert grace.get("/users").json()["detail"] == "This is not for grace, who is limited to single projects."


def test_me_says_who_one_is_and_what_one_may(admin: Caller, grace: Caller) -> None:
    me = grace.got("/me")
    assert (me["name"], me["kind"], me["user"]) == ("grace", "user", 1)
    assert [(each["project"], each["role"]) for each in me["grants"]] == [
        ("acme", "operator"),
        ("beside", "viewer"),
    ]
    assert me["grants"][1]["rights"] == ["read"]
    mine = admin.got("/me")
    assert (mine["name"], mine["kind"], mine["user"]) == ("admin token", "token", None)
    assert "people" in mine["grants"][0]["rights"]
    assert "people" not in admin.with_token("admin", "acme").got("/me")["grants"][0]["rights"]


def test_a_user_is_changed_disabled_enabled_and_removed(admin: Caller, grace: Caller) -> None:
    path = "/users/1"
    changed = admin.patch(path, json={"name": "hopper"}).json()
    assert (changed["name"], changed["email"]) == ("hopper", "grace@example.com")
    assert admin.patch(path, json={"email": ""}).json()["email"] is None
    revoked = admin.made(f"{path}/revoke", {"project": "acme"})
    assert revoked["grants"] == [{"role": "viewer", "project": "beside"}]
    assert grace.get("/me").status_code == 401  # rights were taken: the session ended
    assert admin.post(f"{path}/revoke", json={"project": "acme"}).status_code == 404
    again = browser(admin, 1)
    assert admin.made(f"{path}/disable")["status"] == "disabled"
    assert again.get("/me").status_code == 401
    assert admin.post(f"{path}/reset").status_code == 409
    assert admin.made(f"{path}/enable")["status"] == "invited"
    assert admin.made(f"{path}/reset")["expires_at"] == "2026-02-07T12:00:00Z"
    assert admin.delete(f"{path}?confirm=grace").status_code == 422
    assert admin.delete(f"{path}?confirm=hopper").status_code == 204
    assert admin.get(path).status_code == 404


def test_sessions_are_listed_and_ended(admin: Caller, grace: Caller) -> None:
    other = browser(admin, 1)
    listed = admin.got("/users/1/sessions")["items"]
    assert [(each["address"], each["browser"]) for each in listed] == [("192.0.2.1", "Firefox")] * 2
    context = admin.context
    with context.db.read() as tx:
        assert users.with_id(tx, 1).name == "grace"
        found = sessions.of_user(tx, 1, context.clock.now(), context.desk.limits)
    assert {each.id for each in found} == {each["id"] for each in listed}
    assert admin.delete(f"/users/1/sessions/{listed[0]['id']}").status_code == 204
    assert admin.delete(f"/users/1/sessions/{listed[0]['id']}").status_code == 404
    assert sorted([grace.get("/me").status_code, other.get("/me").status_code]) == [200, 401]
    assert admin.delete("/users/1/sessions").status_code == 204
    assert {grace.get("/me").status_code, other.get("/me").status_code} == {401}
