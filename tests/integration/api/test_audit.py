"""The audit log: one entry for each change that the API makes, none for what changes nothing, and how it is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.commands.refusals import OF_A_NETWORK
from app.domain.audit import Action, Kind, Outcome
from app.domain.documents import Json
from app.web.api import OPERATIONS
from app.web.api import audit as api_audit
from app.web.api.operations import Operation
from tests.support.api import Caller, stored_by
from tests.support.audited import CALLS, FLOW, GUID, SHOP, P, change_something, entries, prepare
from tests.support.installation import Installation, Stored

CHANGES = [each for each in OPERATIONS if each.action is not None]
LOOKS = [each for each in OPERATIONS if each.action is None]
ONCE = "/projects/acme/jobs/once"
NAMES = {
    "p": "acme",
    "j": "once",
    "c": "forge",
    "s": "images",
    "g": "mail",
    "t": "ops",
    "a": "shop",
    "ga": "the-app",
    "pl": "main",
    "f": "release",
}


def name(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


@pytest.fixture(scope="module")
def furnished() -> Stored:
    return stored_by(prepare)


@pytest.fixture
def admin(tmp_path: Path, furnished: Stored) -> Iterator[Caller]:
    with Installation.bare(tmp_path, stored=furnished) as place:
        yield Caller(place.web)


def test_every_operation_that_changes_something_is_called_below() -> None:
    assert set(CALLS) == {name(each) for each in CHANGES}
    assert {name(each) for each in LOOKS if each.method != "GET"} == {
        "POST /plan",
        "POST /projects/{p}/credentials/{c}/host-keys",
        "POST /projects/{p}/github-apps/{ga}/look",
    }


@pytest.mark.parametrize("operation", CHANGES, ids=name)
def test_each_change_leaves_one_entry(admin: Caller, operation: Operation) -> None:
    before = entries(admin.context)
    answer = change_something(admin, operation.method, operation.path)
    assert answer.status_code < 300, answer.text
    [entry] = entries(admin.context)[len(before) :]
    assert entry.action is operation.action
    assert (entry.actor.name, entry.actor.kind) == ("admin token", Kind.ADMIN_TOKEN)
    assert (entry.actor.address, entry.outcome) == ("testclient", Outcome.DONE)
    assert entry.subject.type == entry.action.type
    if entry.subject.type != "installation":
        assert entry.subject.id is not None
        assert entry.subject.name
    if "{p}" in operation.path:
        assert entry.subject.project in ("acme", "beside")


@pytest.mark.parametrize("operation", LOOKS, ids=name)
def test_what_only_looks_leaves_none(admin: Caller, operation: Operation) -> None:
    before = entries(admin.context)
    id_ = GUID if operation.path.startswith("/deliveries") else "1"
    admin.request(operation.method, operation.path.format(**NAMES, id=id_))
    assert entries(admin.context) == before


@pytest.mark.parametrize("operation", CHANGES, ids=name)
def test_whom_the_right_is_lacking_leaves_a_refusal(admin: Caller, operation: Operation) -> None:
    viewer = admin.with_token("viewer")
    before = entries(admin.context)
    assert change_something(viewer, operation.method, operation.path).status_code == 403
    [entry] = entries(admin.context)[len(before) :]
    assert (entry.action, entry.outcome) == (operation.action, Outcome.REFUSED)
    assert (entry.actor.name, entry.actor.kind, entry.actor.id) == ("viewer-all", Kind.TOKEN, 2)
    assert entry.detail.startswith("This needs the role")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"{ONCE}/runs?dry_run=true", {}, 200),
        ("/prune?dry_run=true", {}, 200),
        (f"{ONCE}/runs", {"grace_period_seconds": -1}, 422),
        ("/projects/none/jobs", {"name": "n"}, 404),
        ("/projects", {"name": "acme"}, 409),
        ("/users/1/enable", {}, 200),
    ],
)
def test_what_changes_nothing_leaves_none(admin: Caller, path: str, body: object, status: int) -> None:
    before = entries(admin.context)
    assert admin.post(path, json=body).status_code == status
    assert entries(admin.context) == before


def test_a_repeated_request_leaves_one(admin: Caller) -> None:
    before = entries(admin.context)
    first, again = (admin.made(f"{ONCE}/runs", {}, Idempotency_Key="k") for _ in range(2))
    assert first == again
    assert len(entries(admin.context)) == len(before) + 1


def test_changes_are_told_without_secrets(admin: Caller) -> None:
    for secret in ("sesame one", "sesame two"):
        env = {"A": secret[-3:], "S": {"value": secret, "secret": True}}
        assert admin.patch(ONCE, json={"env": env, "grace_period_seconds": len(secret)}).status_code == 200
    group = {"env": {"HOST": "b", "PASSWORD": {"value": "sesame three", "secret": True}}}
    assert admin.patch("/projects/acme/secret-groups/mail", json=group).status_code == 200
    assert admin.patch("/projects/acme", json={"webhook_secret": "sesame the fourth"}).status_code == 200
    assert admin.patch("/projects/acme/credentials/forge", json={"secret": "sesame five"}).status_code == 200
    found = {each["id"]: each for each in admin.got("/audit", limit=5)["items"]}
    told = [found[each]["changes"] for each in sorted(found)]
    assert told[1] == {"env.A": {"from": "one", "to": "two"}, "env.S.value": {"changed": True}}
    assert told[2]["env.HOST"] == {"from": "mail.example.com", "to": "b"}
    assert told[2]["env.PASSWORD.value"] == {"changed": True}
    assert told[3:] == [{"webhook_secret": {"changed": True}}, {"secret": {"changed": True}}]
    assert "sesame" not in admin.get("/audit?limit=100").text


def test_a_change_that_fails_to_be_noted_is_not_made(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no entry can be stored")

    monkeypatch.setattr("app.store.audit.add", fail)
    assert admin.post("/projects", json={"name": "new"}).status_code == 500
    assert "new" not in [each["name"] for each in admin.got("/projects")["items"]]


def test_filters(admin: Caller) -> None:
    ci = admin.with_token("operator")
    ci.made(f"{ONCE}/runs")
    newest = admin.got("/audit", who="operator-all")["items"]
    assert [(each["action"], each["about"]["name"]) for each in newest] == [("run.start", "once-00003")]
    assert {each["action"] for each in admin.got("/audit", action="token.make")["items"]} == {"token.make"}
    assert {each["about"]["type"] for each in admin.got("/audit", action="flow")["items"]} == {"flow"}
    assert {each["about"]["project"] for each in admin.got("/audit", project="acme")["items"]} == {"acme"}
    assert admin.got("/audit", since="2030-01-01T00:00:00Z")["items"] == []
    assert admin.got("/audit", until="2020-01-01T00:00:00Z")["items"] == []
    about = admin.got("/audit", about="once-00003", until="2030-01-01T00:00:00Z")["items"]
    assert [each["action"] for each in about] == ["run.start"]
    assert admin.get("/audit", params={"since": "yesterday"}).status_code == 422
    for accept in ("application/json", "application/x-ndjson"):
        wrong = admin.get("/audit?action=job.changed", headers={"Accept": accept})
        assert wrong.json()["errors"] == [
            {
                "field": "action",
                "message": "action must be one such as job.change, or job for all of those, not 'job.changed'.",
            }
        ]
    first = admin.got("/audit", limit=2)
    second = admin.got("/audit", limit=2, cursor=first["next"])
    ids = [each["id"] for each in (*first["items"], *second["items"])]
    assert ids == list(range(ids[0], ids[0] - 4, -1))


def test_an_administrator_of_a_project_reads_its_entries_alone(admin: Caller) -> None:
    found = admin.with_token("admin", "beside").got("/audit", limit=100)["items"]
    assert {each["about"]["project"] for each in found} == {"beside"}
    for role in ("viewer", "operator"):
        assert admin.with_token(role).get("/audit").status_code == 403


def test_all_of_it_comes_as_lines(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_audit, "BLOCK", 7)
    answer = admin.get("/audit?action=job", headers={"Accept": "application/x-ndjson"})
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines == admin.got("/audit", action="job", limit=100)["items"]
    assert len(lines) > 0
    assert admin.get("/audit?action=job&format=lines").text == answer.text
    everything = admin.get("/audit", headers={"Accept": "application/x-ndjson"}).text.splitlines()
    assert len(everything) == len(entries(admin.context)) > 14


def test_what_apps_pipelines_and_flows_are_made_of_is_told_from_to(admin: Caller) -> None:
    assert admin.patch(SHOP, json={"jobs": ["report", "idle"], "hooks": ["idle"]}).status_code == 200
    stages = [{"name": "two", "components": ["shelf"]}, {"name": "three", "components": ["shop"]}]
    assert admin.patch(f"{P}/pipelines/main", json={"stages": stages}).status_code == 200
    nodes = [
        {"name": "tell", "type": "message", "message": "Done.", "url": "https://chat.example.com/sesame"},
        {"name": "ready", "type": "approval"},
    ]
    assert admin.patch(FLOW, json={"nodes": nodes}).status_code == 200
    nodes[0] |= {"url": "https://chat.example.com/sesame-2", "message": "Over."}
    assert admin.patch(FLOW, json={"nodes": nodes}).status_code == 200
    app, pipeline, first, second = (each.changes for each in entries(admin.context)[-4:])
    assert app == {
        "hooks": {"from": None, "to": ["idle"]},
        "jobs": {"from": ["report"], "to": ["report", "idle"]},
    }
    assert pipeline == {
        "stages": {"from": ["one", "two"], "to": ["two", "three"]},
        "components.one": {"from": ["shop"], "to": None},
        "components.three": {"from": None, "to": ["shop"]},
    }
    assert first["order"] == {"from": ["ready"], "to": ["tell", "ready"]}
    assert first["nodes.tell.message"] == {"from": None, "to": "Done."}
    assert first["nodes.tell.url"] == {"changed": True}
    assert second == {
        "nodes.tell.message": {"from": "Done.", "to": "Over."},
        "nodes.tell.url": {"changed": True},
    }
    assert "sesame" not in admin.get("/audit?limit=100").text


def told(admin: Caller) -> Json:
    """What the newest entry says of changes."""
    return entries(admin.context)[-1].changes


def test_what_is_made_is_told_but_for_what_is_usual(admin: Caller) -> None:
    env = {"A": "one", "S": {"value": "sesame", "secret": True}}
    job = {"name": "n", "source": {"type": "image", "image": "busybox"}, "command": ["echo"], "env": env}
    admin.made(f"{P}/jobs", {**job, "plan": "micro", "retry_limit": 2})
    assert told(admin) == {
        "name": {"from": None, "to": "n"},
        "source.type": {"from": None, "to": "image"},
        "source.image": {"from": None, "to": "busybox"},
        "command": {"from": None, "to": ["echo"]},
        "env.A": {"from": None, "to": "one"},
        "env.S.value": {"changed": True},
        "env.S.scope": {"from": None, "to": "run"},
        "env.S.secret": {"from": None, "to": True},
        "plan": {"from": None, "to": "micro"},
        "retry_limit": {"from": None, "to": 2},
    }
    admin.made(
        f"{P}/jobs/n/runs", {"command": "rm -rf /", "env": {"A": "two", "S": env["S"]}, "image": "busybox:1"}
    )
    assert told(admin) == {
        "command": {"from": None, "to": "rm -rf /"},
        "env.A": {"from": None, "to": "two"},
        "env.S.value": {"changed": True},
        "env.S.scope": {"from": None, "to": "run"},
        "env.S.secret": {"from": None, "to": True},
        "image": {"from": None, "to": "busybox:1"},
    }
    admin.made(f"{P}/secret-groups", {"name": "g", "priority": 5, "env": env})
    assert told(admin)["env.A"] == {"from": None, "to": "one"}
    assert told(admin)["env.S.value"] == {"changed": True}
    admin.made(f"{P}/apps", {"name": "a", "jobs": ["n"]})
    assert told(admin) == {"jobs": {"from": None, "to": ["n"]}}
    admin.made(f"{P}/pipelines", {"name": "p", "stages": [{"name": "x", "components": ["a"]}]})
    assert told(admin) == {
        "stages": {"from": None, "to": ["x"]},
        "components.x": {"from": None, "to": ["a"]},
    }
    assert admin.delete(f"{P}/pipelines/p?confirm=p").status_code == 204
    assert told(admin)["components.x"] == {"from": ["a"], "to": None}
    admin.made(f"{P}/flows", {"name": "f", "nodes": [{"name": "ready", "type": "approval"}]})
    assert told(admin)["nodes.ready.type"] == {"from": None, "to": "approval"}
    assert "sesame" not in admin.get("/audit?limit=100").text


def test_of_very_many_changes_the_first_are_told(admin: Caller) -> None:
    admin.made(f"{P}/secret-groups", {"name": "g", "env": {f"V{n:03}": "x" for n in range(300)}})
    changes = told(admin)
    assert changes["env.V000"] == {"from": None, "to": "x"}
    assert list(changes)[200:] == ["101 further fields"]  # and the priority
    assert len(changes) == 201


def test_a_role_is_told_with_the_project_that_it_is_in(admin: Caller) -> None:
    made = admin.made("/users", {"name": "n", "role": "viewer", "project": "beside"})
    assert told(admin)["role in beside"] == {"from": None, "to": "viewer"}
    admin.made(f"/users/{made['id']}/grant", {"role": "admin", "project": "beside"})
    assert told(admin) == {"role in beside": {"from": "viewer", "to": "admin"}}
    admin.made(f"/users/{made['id']}/grant", {"role": "operator"})
    assert told(admin) == {"role in all projects": {"from": None, "to": "operator"}}
    admin.made(f"/users/{made['id']}/revoke", {"project": "beside"})
    assert told(admin) == {"role in beside": {"from": "admin", "to": None}}
    admin.made("/tokens", {"name": "t", "role": "viewer", "project": "beside"})
    assert told(admin)["project"] == {"from": None, "to": "beside"}


def test_only_what_a_project_is_newly_held_to_is_told(admin: Caller) -> None:
    assert admin.patch(P, json={"hardening": {"non_root": True}}).status_code == 200
    assert told(admin) == {"hardening.non_root": {"from": False, "to": True}}


def test_tokens_that_let_nobody_in_leave_a_bounded_trace(admin: Caller) -> None:
    context = admin.context
    before = len(entries(context))
    made = admin.made("/tokens", {"name": "short", "role": "viewer", "expires_at": "2026-02-01T00:00:00Z"})
    admin.made("/tokens", {"name": "gone", "role": "viewer"})
    gone = next(each for each in admin.got("/tokens")["items"] if each["name"] == "gone")
    assert admin.delete(f"/tokens/{gone['id']}?confirm=gone").status_code == 204
    context.clock.advance(hours=48)  # type: ignore[attr-defined]
    assert Caller(context, made["token"]).get("/me").status_code == 401
    for number in range(20):
        assert Caller(context, f"jy_guess_{number}").get("/projects").status_code == 401
    assert Caller(context, None).get("/me").status_code == 401  # nothing was tried
    expired, *unknown = list(entries(context))[before + 3 :]
    assert (expired.action, expired.outcome) == (Action.TOKEN_USE, Outcome.REFUSED)
    assert (expired.subject.name, expired.detail) == (
        "short",
        "The API token has expired. (GET /api/v1/me)",
    )
    assert len(unknown) == OF_A_NETWORK - 1
    assert {each.detail for each in unknown} == {
        "There is no such API token, or it was revoked. (GET /api/v1/projects)"
    }
    assert "jy_guess" not in str(entries(context))
