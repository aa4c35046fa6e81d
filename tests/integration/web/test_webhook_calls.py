"""How webhooks are called: as a form, with a slash, as a ping, for a renamed repository; and what is counted."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from app.runtime.signals import Signals
from app.store import deliveries
from app.store.database import Database
from app.web.app import create_app
from app.web.server_context import ServerContext
from app.workers.lookout import Lookout
from tests.support.client import Client
from tests.support.payloads import encode, push_headers
from tests.support.server_context import ADMIN_TOKEN

SECRET = b"the secret of acme"
URL = "https://github.com/acme/report.git"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def client(context: ServerContext) -> Iterator[Client]:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    with Client(create_app(context, nullcontext), headers=headers) as client:
        client.post("/api/v1/projects", json={"name": "acme", "webhook_secret": SECRET.decode()})
        job = {"name": "report", "source": {"type": "git", "git": {"url": URL}}}
        assert client.post("/api/v1/projects/acme/jobs", json=job).status_code == 201
        yield client


def payload(name: str = "acme/report", **more: Any) -> dict[str, Any]:
    repository = {"full_name": name, "clone_url": f"https://github.com/{name}.git"}
    push = {"ref": "refs/heads/main", "before": "1" * 40, "after": "2" * 40, "commits": []}
    return {**push, "repository": repository, **more}


def send(
    client: Client,
    body: bytes,
    guid: str = "g1",
    *,
    secret: bytes = SECRET,
    path: str = "/webhooks/github",
    **headers: str,
) -> Any:
    same_id = {"X-Request-Id": "same"}  # so that answers can be compared
    signed = (
        same_id
        | push_headers(secret, body, guid)
        | {name.replace("_", "-"): v for name, v in headers.items()}
    )
    return client.post(path, content=body, headers=signed, follow_redirects=False)


def listed(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/v1/deliveries").json()["items"]
    return found


# secrets


def test_a_secret_that_another_process_has_changed_counts_as_soon_as_that_is_seen(
    client: Client, context: ServerContext, tmp_path: Path
) -> None:
    assert send(client, encode(payload())).status_code == 202
    (file,) = tmp_path.rglob("jobyard.db")
    theirs = replace(context, db=Database(f"sqlite:///{file}"), signals=Signals())
    lookout = Lookout(context.db, context.clock, context.signals)
    lookout.step()
    fresh = b"another secret of acme"
    with Client(create_app(theirs, nullcontext), headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as other:
        changed = other.patch("/api/v1/projects/acme", json={"webhook_secret": fresh.decode()})
        assert changed.status_code == 200
    lookout.step()
    assert send(client, encode(payload()), "g2").status_code == 401
    assert send(client, encode(payload()), "g3", secret=fresh).status_code == 202
    theirs.db.close()


# forms


@pytest.mark.parametrize("kind", [FORM, f"{FORM}; charset=utf-8", "text/plain"])
def test_a_form_with_a_payload_is_taken_as_its_json(
    client: Client, context: ServerContext, kind: str
) -> None:
    body = urlencode({"payload": json.dumps(payload(pusher={"name": "grüße +%&="}))}).encode()
    answer = send(client, body, Content_Type=kind)
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    with context.db.read() as tx:
        stored = json.loads(deliveries.find(tx, "g1").body)
    assert stored["pusher"] == {"name": "grüße +%&="}


def test_a_large_form_finds_its_secret_among_many(client: Client) -> None:
    for number in range(20):
        project = {"name": f"p{number}", "webhook_secret": f"the secret of p{number}"}
        assert client.post("/api/v1/projects", json=project).status_code == 201
    body = urlencode({"payload": json.dumps(payload(padding="x" * 3_000_000))}).encode()
    assert send(client, body, Content_Type=FORM).status_code == 202


def test_the_signature_is_of_the_form_not_of_its_json(client: Client) -> None:
    told = encode(payload())
    body = urlencode({"payload": told.decode()}).encode()
    headers = push_headers(SECRET, told, "g1") | {"Content-Type": FORM}
    assert client.post("/webhooks/github", content=body, headers=headers).status_code == 401


@pytest.mark.parametrize(
    "body", [b"", b"other=1", b"payload=%7B%7D&payload=%7B%7D", b"payload=%FF", b"payload=nothing", b"&" * 99]
)
def test_a_form_that_can_not_be_read_is_a_400(client: Client, body: bytes) -> None:
    assert send(client, body, Content_Type=FORM).status_code == 400
    assert listed(client) == []


# pings


def test_a_ping_is_recorded(client: Client) -> None:
    body = encode({"zen": "Keep it logically awesome.", "hook_id": 1, **payload()})
    answer = send(client, body, X_GitHub_Event="ping")
    assert (answer.status_code, answer.json()) == (200, {"delivery": "g1", "status": "pong"})
    (delivery,) = listed(client)
    assert (delivery["event"], delivery["status"], delivery["repository"]) == (
        "ping",
        "ignored",
        "acme/report",
    )
    assert delivery["sentence"] == "A ping: the webhook's address and its secret are right."
    assert send(client, body, X_GitHub_Event="ping").status_code == 200  # sent again
    assert len(listed(client)) == 1
    of_organisation = encode({"zen": "x", "hook_id": 2})
    assert send(client, of_organisation, "g2", X_GitHub_Event="ping").status_code == 200
    assert send(client, body, "g3", secret=b"wrong", X_GitHub_Event="ping").status_code == 401
    assert len(listed(client)) == 2


# one event, told of by several hooks


def test_each_hook_of_a_repository_is_heard_though_all_have_one_id(
    client: Client, context: ServerContext
) -> None:
    """GitHub's id is the event's: all webhooks of a repository are called with the same."""
    other, own = b"the secret of other", b"the secret of its own"
    client.post("/api/v1/projects", json={"name": "other", "webhook_secret": other.decode()})
    source = {"type": "git", "git": {"url": URL}}
    made = client.post("/api/v1/projects/other/jobs", json={"name": "guest", "source": source})
    assert made.status_code == 201
    source = {"type": "git", "git": {"url": URL, "webhook_secret": own.decode()}}
    client.post("/api/v1/projects/acme/jobs", json={"name": "apart", "source": source})
    body = encode(payload())
    told = [send(client, body, secret=secret).json() for secret in (SECRET, other, own)]
    assert [each["status"] for each in told] == ["accepted"] * 3
    ids = [each["delivery"] for each in told]
    assert ids[0] == "g1"
    assert len(set(ids)) == 3
    for secret, id_ in zip((SECRET, other, own), ids, strict=True):
        again = send(client, body, secret=secret)
        assert (again.status_code, again.json()) == (200, {"delivery": id_, "status": "duplicate"})
    found = {each["id"]: client.get(f"/api/v1/deliveries/{each['id']}").json() for each in listed(client)}
    assert set(found) == set(ids)
    with context.db.write() as tx:
        scopes = [set(deliveries.find(tx, id_).scopes) for id_ in ids]
        assert scopes[0] | scopes[1] | scopes[2] == {"project:1", "project:2", "source:3"}
        second = deliveries.find(tx, ids[1])
        deliveries.settle(tx, second.id, "failed", "A fault of ours.", context.clock.now())
    again = send(client, body, secret=other)
    assert (again.status_code, again.json()) == (202, {"delivery": ids[1], "status": "accepted"})


def test_an_id_that_somebody_else_has_used_keeps_nobody_from_being_heard(client: Client) -> None:
    other = b"the secret of other"
    client.post("/api/v1/projects", json={"name": "other", "webhook_secret": other.decode()})
    git = {"url": "https://github.com/other/x"}
    client.post("/api/v1/projects/other/jobs", json={"name": "x", "source": {"type": "git", "git": git}})
    for guid in ("g1", "g1:project:1"):
        assert send(client, encode(payload("other/x")), guid, secret=other).status_code == 202
    heard = send(client, encode(payload())).json()
    assert heard == {"delivery": "g1:project:1:project:1", "status": "accepted"}
    assert send(client, encode(payload())).json() == {**heard, "status": "duplicate"}


# what is turned away


def test_the_count_of_wrong_signatures_is_there_at_once(client: Client) -> None:
    for number in range(3):
        assert send(client, encode(payload()), f"g{number}", secret=b"wrong").status_code == 401
    for page in ("/deliveries", "/settings"):
        assert "3 calls" in client.get(page).text


def test_a_renamed_repository_is_told_to_the_project_and_not_to_the_caller(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        renamed = [send(client, encode(payload("acme/<b>renamed")), f"g{number}") for number in range(2)]
    wrong = send(client, encode(payload()), "g9", secret=b"wrong")
    assert {(each.status_code, each.content) for each in (*renamed, wrong)} == {(401, wrong.content)}
    assert "push of acme/<b>renamed has the right secret of project acme" in caplog.text
    page = client.get("/projects/acme").text
    assert "2 pushes" in page
    assert "acme/&lt;b&gt;renamed" in page
    assert listed(client) == []
    git = {"url": "https://github.com/acme/<b>renamed.git".replace("<b>", "")}
    send(client, encode(payload("acme/renamed")), "g3")
    assert "<code>acme/renamed</code>" in client.get("/projects/acme").text
    source = {"source": {"type": "git", "git": git}}
    assert client.patch("/api/v1/projects/acme/jobs/report", json=source).status_code == 200
    assert "<code>acme/renamed</code>" not in client.get("/projects/acme").text


@pytest.mark.parametrize("size", [300_000, 3_000_000])
def test_a_renamed_repository_is_noticed_in_a_large_body_too(client: Client, size: int) -> None:
    body = encode({"padding": "x" * size, **payload("acme/renamed")})
    assert send(client, body).status_code == 401
    assert "<code>acme/renamed</code>" in client.get("/projects/acme").text


def test_only_the_latest_unknown_names_are_kept(client: Client) -> None:
    for number in range(15):
        send(client, encode(payload(f"acme/r{number}")), f"g{number}")
    page = client.get("/projects/acme").text
    assert [f"acme/r{number}<" in page for number in range(15)] == [False] * 5 + [True] * 10


# addresses


@pytest.mark.parametrize("path", ["/webhooks/github/", "/webhooks/github//"])
def test_a_slash_at_the_end_makes_no_difference_to_a_webhook(client: Client, path: str) -> None:
    assert send(client, encode(payload()), path=path).status_code == 202


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/settings/"),
        ("GET", "/api/v1/projects/"),
        ("POST", "/api/v1/plan/"),
        ("POST", "/login/"),
        ("GET", "/healthz/"),
        ("GET", "/nothing/"),
        ("POST", "/webhooks/flows/x/"),
        ("GET", "//evil.example/"),
    ],
)
def test_nobody_is_sent_elsewhere_for_a_slash(client: Client, method: str, path: str) -> None:
    without = client.request(method, path.rstrip("/"), follow_redirects=False)
    answer = client.request(method, path, headers={"Host": "evil.example"}, follow_redirects=False)
    assert answer.status_code == without.status_code
    assert "evil.example" not in answer.headers.get("location", "")
