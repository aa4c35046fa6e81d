"""Webhooks of projects for whatever sends JSON: made, called, refused, and what is made of a call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.generic_webhooks import pointed_at
from app.store import deliveries
from app.web.app import create_app
from app.web.server_context import ServerContext
from tests.support.any_json import JSON
from tests.support.client import Client
from tests.support.forms import form_fields
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.senders import digest
from tests.support.server_context import ADMIN_TOKEN

SECRET = b"the secret of acme"
A, B = "a" * 40, "b" * 40
WEBHOOK = {"ref": "/push/0/branch", "sha": "/push/0/to", "before": "/push/0/from", "repository": "/repo"}
PUSH = {"push": [{"branch": "main", "to": B, "from": A}], "repo": "https://git.acme.example/acme/report"}


def furnish(client: Client, **webhook: Any) -> str:
    """A project with a job and the webhook; returns the path of its address."""
    client.post("/api/v1/projects", json={"name": "acme", "webhook_secret": SECRET.decode()})
    git = {"url": "https://git.acme.example/acme/report.git"}
    client.post("/api/v1/projects/acme/jobs", json={"name": "report", "source": {"type": "git", "git": git}})
    changed = client.patch("/api/v1/projects/acme", json={"generic_webhook": {**WEBHOOK, **webhook}})
    assert changed.status_code == 200, changed.text
    return f"/webhooks/generic/{changed.json()['generic_webhook']['id']}"


@pytest.fixture
def client(context: ServerContext) -> Iterator[Client]:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    with Client(create_app(context, nullcontext), headers=headers) as client:
        yield client


def call(client: Client, path: str, payload: object, secret: bytes = SECRET, **headers: str) -> Any:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, content=body, headers={"X-Signature": digest(secret, body), **named})


def test_a_call_is_accepted_once_and_stored_in_one_shape(client: Client, context: ServerContext) -> None:
    path = furnish(client)
    first = call(client, path, PUSH, Webhook_Id="msg-1")
    again = call(client, path, PUSH, Webhook_Id="msg-1")
    assert (first.status_code, first.json()["status"]) == (202, "accepted")
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    guid = first.json()["delivery"]
    assert guid.endswith("-msg-1")
    with context.db.read() as tx:
        delivery = deliveries.find(tx, guid)
    assert (delivery.forge, delivery.repository) == ("generic", PUSH["repo"])
    assert json.loads(delivery.body) == {
        "ref": "refs/heads/main",
        "before": A,
        "after": B,
        "repository": {"full_name": PUSH["repo"], "clone_url": PUSH["repo"]},
    }


def test_without_an_id_the_same_body_is_the_same_push(client: Client) -> None:
    path = furnish(client)
    assert [call(client, path, PUSH).json()["status"] for _ in range(2)] == ["accepted", "duplicate"]
    other = {**PUSH, "push": [{"branch": "main", "to": A, "from": B}]}
    assert call(client, path, other).json()["status"] == "accepted"


@pytest.mark.parametrize("repository", ["acme/report", "git@git.acme.example:acme/report.git"])
def test_a_repository_may_be_named_in_other_ways(client: Client, repository: str) -> None:
    path = furnish(client)
    assert call(client, path, {**PUSH, "repo": repository}).status_code == 202


def test_the_repository_may_be_the_same_for_all_calls(client: Client) -> None:
    path = furnish(client, repository="https://git.acme.example/acme/report")
    assert call(client, path, {"push": PUSH["push"]}).status_code == 202


def test_the_proof_may_be_a_prefixed_signature_or_the_secret_itself(client: Client) -> None:
    path = furnish(client, header="X-Proof")
    body = json.dumps(PUSH).encode()
    signed = {"X-Proof": f"sha256={digest(SECRET, body)}"}
    assert client.post(path, content=body, headers=signed).status_code == 202
    for proof in (SECRET.decode(), "sha256=", ""):
        assert client.post(path, content=body, headers={"X-Proof": proof}).status_code == 401
    furnish(client, proof="token", header="X-Proof")
    for proof in (SECRET.decode(), f"Bearer {SECRET.decode()}"):
        assert client.post(path, content=body, headers={"X-Proof": proof}).status_code == 200  # a repeat
    assert client.post(path, content=body, headers=signed).status_code == 401


def test_what_is_refused_says_why_in_one_sentence(client: Client) -> None:
    path = furnish(client)
    wrong = call(client, path, PUSH, secret=b"another secret")
    assert (wrong.status_code, wrong.json()["detail"]) == (
        401,
        "No repository with this webhook secret: check the secret on both sides (X-Signature is needed).",
    )
    assert call(client, path, {**PUSH, "repo": "https://git.acme.example/acme/other"}).status_code == 401
    unread = call(client, path, {**PUSH, "push": []})
    assert (unread.status_code, unread.json()["detail"]) == (
        400,
        "The payload's /push/0/branch must be a string. What this webhook is for is expected to call this address.",
    )
    short = call(client, path, {**PUSH, "push": [{"branch": "main", "to": "1a2b3c4", "from": A}]})
    assert short.json()["detail"].startswith(
        "The payload's /push/0/to must be 40 lower-case hexadecimal digits."
    )
    for nowhere in ("/webhooks/generic/nothing", f"{path}x"):
        answer = call(client, nowhere, PUSH)
        assert (answer.status_code, answer.json()["detail"]) == (
            404,
            "There is no webhook at this address: look at the page of the project.",
        )
    assert call(client, "/webhooks/generic", PUSH).json()["detail"] == "There is no webhook for generic."


def test_another_projects_secret_proves_nothing_here(client: Client) -> None:
    path = furnish(client)
    client.post("/api/v1/projects", json={"name": "other", "webhook_secret": "the secret of other"})
    git = {"url": "https://git.acme.example/acme/report.git"}
    client.post("/api/v1/projects/other/jobs", json={"name": "x", "source": {"type": "git", "git": git}})
    assert call(client, path, PUSH, secret=b"the secret of other").status_code == 401


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("ref", "push.ref", "must be a JSON Pointer such as /push/ref"),
        ("sha", "/a~2", "must be a JSON Pointer such as /push/ref"),
        ("repository", "acme/report", "must be a JSON Pointer such as /push/ref"),
        ("header", "X Proof", "must be the name of a header such as X-Signature"),
    ],
)
def test_a_wrong_place_is_named(client: Client, field: str, value: str, message: str) -> None:
    furnish(client)
    answer = client.patch("/api/v1/projects/acme", json={"generic_webhook": {**WEBHOOK, field: value}})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == f"generic_webhook.{field}"
    assert message in error["message"]


def test_its_address_stays_until_it_is_removed(client: Client) -> None:
    path = furnish(client)
    assert furnish(client, ref="/ref") == path
    client.patch("/api/v1/projects/acme", json={"generic_webhook": None})
    assert client.get("/api/v1/projects/acme").json()["generic_webhook"] is None
    assert call(client, path, PUSH).status_code == 404
    assert furnish(client) != path


def test_it_is_made_changed_and_removed_on_the_projects_page(client: Client) -> None:
    client.post("/api/v1/projects", json={"name": "acme", "webhook_secret": SECRET.decode()})
    form = "/projects/acme/generic-webhook"
    fields = dict(form_fields(client.get("/projects/acme").text, form))
    assert fields["generic_webhook.ref"] == "/ref"
    client.post(form, data={**fields, "generic_webhook.ref": "/push/ref"})
    made = client.get("/api/v1/projects/acme").json()["generic_webhook"]
    assert (made["ref"], made["sha"], made["before"]) == ("/push/ref", "/after", None)
    assert f"/webhooks/generic/{made['id']}" in client.get("/projects/acme").text
    refused = client.post(form, data={**fields, "generic_webhook.sha": "nowhere"})
    assert refused.status_code == 422
    assert "must be a JSON Pointer such as /push/ref" in refused.text
    client.post(form, data={**fields, "remove": "1"})
    assert client.get("/api/v1/projects/acme").json()["generic_webhook"] is None


@settings(max_examples=100, deadline=None)
@given(payload=JSON, pointer=st.from_regex(r"(/[a-z0~1-9]{0,4}){1,4}", fullmatch=True))
def test_a_pointer_leads_somewhere_or_nowhere(payload: object, pointer: str) -> None:
    pointed_at(payload, pointer)
    document = {"a/b": {"m~n": [7]}}
    assert pointed_at(document, "/a~1b/m~0n/0") == 7
    assert pointed_at(document, "/a~1b/m~0n/1") is None


@pytest.fixture(scope="module")
def open_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, str]]:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    with (
        Installation.bare(tmp_path_factory.mktemp("generic")) as place,
        Client(create_app(place.web, nullcontext), headers=headers) as client,
    ):
        yield client, furnish(client)


@settings(max_examples=100, deadline=None)
@given(
    payload=JSON | st.fixed_dictionaries({"push": st.lists(JSON, max_size=1), "repo": JSON}), raw=st.binary()
)
def test_any_bytes_are_answered(open_client: tuple[Client, str], payload: object, raw: bytes) -> None:
    client, path = open_client
    for body in (json.dumps(payload).encode(), raw):
        answer = call(client, path, body)
        assert answer.status_code in (202, 200, 400, 401)
        assert answer.json().get("detail") or answer.json()["status"]


def test_what_it_told_is_built(place: Installation, server: Server) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    with Client(create_app(place.web, nullcontext), headers=headers) as client:
        path = furnish(client)
        assert call(client, path, {**PUSH, "push": [{"branch": "main", "to": B}]}).status_code == 202
    while server.intake.step():
        pass
    (build,) = place.builds()
    assert (build.sha, build.ref) == (B, "refs/heads/main")
