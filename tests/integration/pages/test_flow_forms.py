"""Release flows by their pages: nodes with the fields of their types, added, ordered, grouped, checked and removed."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.domain.principals import Role
from app.store import flows
from app.web.pages.flow_form import OF_RUN
from tests.support.client import Client
from tests.support.clock import Clock
from tests.support.forms import form_fields
from tests.support.seed import World, world
from tests.support.server_context import ADMIN_TOKEN
from tests.support.visiting import read, visitor

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
HIDDEN = "a text that is never shown"
NEW, RELEASE = "/projects/acme/new/flow", "/projects/acme/flows/release"
SETTINGS, API = f"{RELEASE}/settings", "/api/v1/projects/acme"
NODES = [
    {"name": "image", "type": "build", "job": "report", "ref": "main", "retries": 1},
    {
        "parallel": [
            {
                "name": "today",
                "type": "run",
                "job": "report",
                "wait": False,
                "overrides": {
                    "env": {
                        "DAY": "today",
                        "LETTER": "two\nlines",
                        "KEY": {"value": HIDDEN, "secret": True},
                        "PEM": {"value": "-----\nabc\n-----\n", "secret": True},
                        "GONE": None,
                    },
                    "command": ["python", "a b.py"],
                    "entrypoint": ["sh", "-c"],
                    "image": "busybox:1.36",
                    "retry_limit": 2,
                },
            },
            {"name": "app", "type": "deploy", "app": "shop"},
        ]
    },
    {"name": "ready", "type": "approval", "message": "Is it right?"},
    {"name": "live", "type": "promote", "pipeline": "main", "from": "report", "to": "live"},
    {"name": "one", "type": "deploy", "job": "report", "build": "latest"},
    {"name": "tell", "type": "message", "message": "Done.", "url": "https://chat.example.com/hook"},
]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Clock(NOW)) as each:
        for name in ("report", "live", "web"):
            each.job(name)
        yield each


@pytest.fixture
def api(made: World) -> Client:
    client = Client(made.app(), headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    stages = [{"name": "a", "components": ["report"]}, {"name": "b", "components": ["live"]}]
    for path, body in (
        ("apps", {"name": "shop", "jobs": ["web"]}),
        ("pipelines", {"name": "main", "stages": stages}),
    ):
        assert client.post(f"{API}/{path}", json=body).status_code == 201
    return client


@pytest.fixture
def client(made: World) -> Client:
    return visitor(made)


def node(key: str, kind: str, name: str, **fields: str) -> dict[str, str]:
    texts = {"type": kind, "node": name, **fields}
    return {f"{field.rstrip('_')}.{key}": text for field, text in texts.items()}


def typed(*keys: str, **flow: str) -> dict[str, Any]:
    return {"nodes": list(keys), "concurrency": "queue", **flow}


def test_a_flow_is_made_as_the_api_makes_it(api: Client, client: Client) -> None:
    fields = {
        **typed("0", "1", "2", "3", "4", "5", "6", name="release", on_push="report"),
        **node("0", "build", "image", job="report", ref="main", retries="1"),
        **node("1", "run", "today", job="report", env="DAY=a=b\r\nGONE", command="python 'a b.py'"),
        **node("2", "deploy", "app", app="shop", beside="1"),
        **node("3", "approval", "ready", message="Is it right?"),
        **node("4", "promote", "live", pipeline="main", from_="report", to="live"),
        **node("5", "deploy", "one", job="report", build="latest"),
        **node("6", "message", "tell", message="Done.", url="https://chat.example.com/x", retries="2"),
    }
    answer = client.post(NEW, data=fields)
    assert answer.headers.get("location") == RELEASE, answer.text
    shown = api.get(f"{API}/flows/release").json()
    assert shown["on_push"] == "report"
    assert shown["nodes"] == [
        {"name": "image", "type": "build", "job": "report", "ref": "main", "retries": 1},
        {
            "parallel": [
                {
                    "name": "today",
                    "type": "run",
                    "job": "report",
                    "wait": False,
                    "overrides": {"env": shown_env(shown), "command": "python 'a b.py'"},
                },
                {"name": "app", "type": "deploy", "app": "shop"},
            ]
        },
        {"name": "ready", "type": "approval", "message": "Is it right?"},
        {"name": "live", "type": "promote", "pipeline": "main", "from": "report", "to": "live"},
        {"name": "one", "type": "deploy", "job": "report", "build": "latest"},
        {"name": "tell", "type": "message", "message": "Done.", "url": "***", "retries": 2},
    ]
    assert shown_env(shown)["DAY"] == "a=b"
    assert shown_env(shown)["GONE"] is None


def shown_env(flow: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = flow["nodes"][1]["parallel"][0]["overrides"]["env"]
    return found


def fields_of(client: Client, path: str) -> dict[str, Any]:
    page = read(client, path)
    fields: dict[str, Any] = form_fields(page, path)
    del fields["add"]
    return {**fields, "nodes": keys_of(page)}


def keys_of(page: str) -> list[str]:
    return [part.partition('"')[0] for part in page.split('name="nodes" value="')[1:]]


def test_saving_a_flow_as_it_is_shown_changes_nothing(made: World, api: Client, client: Client) -> None:
    answer = api.post(f"{API}/flows", json={"name": "release", "nodes": NODES, "on_push": "report"})
    assert answer.status_code == 201, answer.text
    before = api.get(f"{API}/flows/release").json()
    with made.db.read() as tx:
        stored = flows.named(tx, "acme", "release")
    page = read(client, SETTINGS)
    assert HIDDEN not in page
    assert "chat.example.com" not in page
    saved = client.post(SETTINGS, data=fields_of(client, SETTINGS))
    assert saved.headers.get("location") == f"{SETTINGS}?saved=1", saved.text
    assert api.get(f"{API}/flows/release").json() == before
    with made.db.read() as tx:
        assert flows.named(tx, "acme", "release").steps == stored.steps


def test_a_run_has_every_field_that_its_api_has(api: Client, client: Client) -> None:
    run = {
        "job": "report",
        "wait": "1",
        "env": "DAY=first\r\n second\r\n \r\nB=2",
        "secrets": "KEY=-----\r\n abc",
    }
    run |= {"process": "worker", "shell": "1", "entrypoint": "sh -c", "retry_limit": "3"}
    run |= {"confirm_paused": "1", "plan": "micro"}
    answer = client.post(NEW, data={**typed("0", name="release"), **node("0", "run", "today", **run)})
    assert answer.headers.get("location") == RELEASE, answer.text
    overrides = overrides_of(api)
    env = overrides.pop("env")
    assert (env["DAY"], env["B"], env["KEY"]["secret"]) == ("first\nsecond\n", "2", True)
    assert overrides == {
        "process": "worker",
        "shell": True,
        "entrypoint": "sh -c",
        "retry_limit": 3,
        "confirm_paused": True,
        "plan": "micro",
    }
    fields = fields_of(client, SETTINGS)
    assert (fields["env.0"], fields["secrets.0"]) == ("DAY=first\r\n second\r\n \r\nB=2", "KEY=***")
    cleared = dict.fromkeys(("shell.0", "process.0", "entrypoint.0", "retry_limit.0", "confirm_paused.0"), "")
    saved = client.post(SETTINGS, data={**fields, **cleared, "image.0": "busybox:1"})
    assert saved.headers.get("location") == f"{SETTINGS}?saved=1", saved.text
    assert overrides_of(api) == {"plan": "micro", "image": "busybox:1", "env": env}


def overrides_of(api: Client) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"{API}/flows/release").json()["nodes"][0]["overrides"]
    return found


@pytest.mark.parametrize(
    ("pressed", "keys"),
    [
        ("down:0", ["1", "0"]),
        ("up:1", ["1", "0"]),
        ("out:0", ["1"]),
        ("add", ["0", "1", "2"]),
        ("check", ["0", "1"]),
    ],
)
def test_buttons_rearrange_nodes_and_save_nothing(
    made: World, client: Client, pressed: str, keys: list[str]
) -> None:
    fields = {
        **typed("0", "1", name="release"),
        **node("0", "approval", "ready", message="Is it right?"),
        **node("1", "run", "today", job="report"),
    }
    answer = client.post(NEW, data={**fields, "do": pressed, "add": "message"})
    assert answer.status_code == 200
    assert keys_of(answer.text) == keys
    assert ("Is it right?" in answer.text) == ("0" in keys)
    assert ("It could be saved like this." in answer.text) == (pressed == "check")
    with made.db.read() as tx:
        assert flows.page(tx, project_id=None, limit=5) == []


@pytest.mark.parametrize("kind", ["build", "promote", "deploy", "run", "approval", "message"])
def test_each_type_of_node_has_its_own_fields(client: Client, kind: str) -> None:
    has = {
        "build": {"job", "ref", "sha", "retries"},
        "promote": {"pipeline", "from", "to", "to_stage", "retries"},
        "deploy": {"job", "app", "build", "retries"},
        "run": {"job", "wait", "retries", *OF_RUN, "env", "secrets", "elsewhere"},
        "approval": {"message"},
        "message": {"message", "url", "retries"},
    }[kind]
    answer = client.post(NEW, data={"do": "add", "add": kind})
    assert {name for name in FIELDS if f'name="{name}.0"' in answer.text} == has


FIELDS = (
    "job", "ref", "sha", "retries", "pipeline", "from", "to", "to_stage", "app", "build", "message", "url", "env",
    "secrets", "elsewhere", "command", "entrypoint", "process", "shell", "image", "plan", "time_limit_seconds",
    "retry_limit", "confirm_paused", "wait",
)  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "field", "sentence"),
    [
        (node("0", "build", "image", job="nobody"), "job.0", "must name a job"),
        (node("0", "deploy", "image"), "job.0", "give a job or an app"),
        (node("0", "build", "a b", job="report"), "node.0", "name"),
        (node("0", "build", "image", job="report", retries="many"), "retries.0", "retries"),
        (node("0", "run", "image", job="report", plan="huge"), "plan.0", "plan"),
        (node("0", "run", "image", job="report", build="x"), "build.0", "build"),
        (node("0", "run", "image", job="report", image="a b"), "image.0", "image"),
        (
            node("0", "run", "image", job="report", secrets="KEY="),
            "secrets.0",
            "KEY has no value: write KEY=VALUE, or leave its line out.",
        ),
        (
            node("0", "run", "image", job="report", elsewhere="KEY=db/password"),
            "elsewhere.0",
            "KEY is from nowhere: write KEY=file:PATH, KEY=env:NAME or KEY=vault:PATH#KEY.",
        ),
        (
            node("0", "run", "image", job="report", env="A=1", secrets="A=2"),
            "secrets.0",
            "A is given twice: keep one of its lines.",
        ),
        (node("0", "run", "image", job="report", env="A=1\nA=2"), "env.0", "A is given twice"),
        (node("0", "message", "image", message=""), "message.0", "message"),
        (node("0", "wash", "image"), "type.0", "type"),
        ({"nodes": ""}, "add", "nodes"),
    ],
)
def test_what_a_node_can_not_be_is_said_at_its_field(
    client: Client, fields: dict[str, str], field: str, sentence: str
) -> None:
    keys = [] if "nodes" in fields else ["0"]
    for button in ({}, {"do": "check"}):
        answer = client.post(NEW, data={"name": "release", **fields, "nodes": keys, **button})
        assert answer.status_code == 422
        assert f'id="e-{field}"' in answer.text
        assert sentence in html.unescape(answer.text)


def test_in_a_group_what_is_wrong_is_said_at_its_node(client: Client) -> None:
    fields = {
        **typed("7", "3", name="release"),
        **node("7", "approval", "ready"),
        **node("3", "run", "today", job="nobody", beside="1", wait="1"),
    }
    answer = client.post(NEW, data=fields)
    assert (answer.status_code, 'class="error" id="e-job.3"' in answer.text) == (422, True)


def test_typed_secrets_are_not_shown_again(client: Client) -> None:
    fields = {
        **typed("0", "1", name="not a name"),
        **node("0", "run", "today", job="report", secrets=f"KEY=one\n {HIDDEN}"),
        **node("1", "message", "tell", message="x", url="https://chat.example.com/a-token"),
    }
    answer = client.post(NEW, data=fields)
    assert answer.status_code == 422
    assert HIDDEN not in answer.text
    assert "-token" not in answer.text
    assert "KEY, address of tell" in answer.text


def test_the_graph_says_in_words_what_it_draws(client: Client) -> None:
    fields = {
        **typed("0", "1", "2"),
        **node("0", "build", "image"),
        **node("1", "run", "a-very-long-name-of-a-node", beside="1"),
        **node("2", "approval", ""),
    }
    page = client.post(NEW, data={**fields, "do": "check"}).text
    assert "image and a-very-long-name-of-a-node side by side, then a new approval." in page
    assert "a-very-long-name-…" in page
    assert page.count("<g data-type=") == 3


def test_a_flow_is_changed_by_one_at_a_time_and_deleted_by_its_name(
    made: World, api: Client, client: Client
) -> None:
    api.post(f"{API}/flows", json={"name": "release", "nodes": NODES[2:3]})
    fields = fields_of(client, SETTINGS)
    assert api.patch(f"{API}/flows/release", json={"concurrency": "forbid"}).status_code == 200
    refused = client.post(SETTINGS, data=fields)
    assert (refused.status_code, "Somebody changed flow release since" in refused.text) == (409, True)
    wrong = client.post(f"{SETTINGS}/delete", data={"confirm": "other"})
    assert (wrong.status_code, "Type release" in wrong.text) == (422, True)
    assert client.post(f"{SETTINGS}/delete", data={"confirm": "release"}).headers["location"] == "/flows"
    assert client.get(RELEASE).status_code == 404


def test_who_may_not_change_flows_is_offered_nothing(made: World, api: Client) -> None:
    api.post(f"{API}/flows", json={"name": "release", "nodes": NODES[2:3]})
    operator = visitor(made, Role.OPERATOR)
    assert "/new/flow" not in read(operator, "/flows")
    assert f'href="{SETTINGS}"' not in read(operator, RELEASE)
    assert operator.get(SETTINGS).status_code == 403
    assert operator.post(SETTINGS).status_code == 403
