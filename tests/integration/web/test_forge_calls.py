"""The webhooks of every forge over HTTP: what is answered, recorded, refused, and decided."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.installation import trouble_with_forges
from app.store import builds, deliveries, refused_calls
from app.web.app import create_app
from app.web.server_context import ServerContext
from tests.support.client import Client
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.senders import FORGES, SENDERS, Sender
from tests.support.server_context import ADMIN_TOKEN

SECRET = b"the secret of acme"
GUID = "0b3ab6ab-4b6c-4e3f-8f0e-2d4b0b8f3d52"


@pytest.fixture(params=sorted(SENDERS))
def sender(request: pytest.FixtureRequest) -> Sender:
    return SENDERS[request.param]


def furnish(client: Client, sender: Sender) -> None:
    """A project with the secret, and a job of the repository that the recorded pushes are of."""
    client.post("/api/v1/projects", json={"name": "acme", "webhook_secret": SECRET.decode()})
    url = sender.forge.repository_of(sender.load("update")).urls[0]
    if not url.startswith("https"):
        url = sender.forge.repository_of(sender.load("update")).urls[-1]
    git = {"url": url, "branch": "main"}
    made = client.post(
        "/api/v1/projects/acme/jobs", json={"name": "report", "source": {"type": "git", "git": git}}
    )
    assert made.status_code == 201, made.text


@pytest.fixture
def client(context: ServerContext, sender: Sender) -> Iterator[Client]:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "X-Request-Id": "same"}
    with Client(create_app(context, nullcontext), headers=headers) as client:
        furnish(client, sender)
        yield client


def encode(payload: object) -> bytes:
    return json.dumps(payload, ensure_ascii=False).encode()


def send(
    client: Client,
    sender: Sender,
    body: bytes,
    guid: str = GUID,
    *,
    secret: bytes = SECRET,
    event: str = "push",
) -> Any:
    return client.post(sender.path, content=body, headers=sender.headers(secret, body, guid, event))


def listed(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/v1/deliveries").json()["items"]
    return found


def test_a_push_is_accepted_once(client: Client, sender: Sender) -> None:
    body = encode(sender.load("update"))
    first, again = send(client, sender, body), send(client, sender, body)
    assert (first.status_code, first.json()) == (202, {"delivery": GUID, "status": "accepted"})
    assert (again.status_code, again.json()) == (200, {"delivery": GUID, "status": "duplicate"})
    (delivery,) = listed(client)
    assert (delivery["id"], delivery["forge"], delivery["event"]) == (GUID, sender.forge.name, "push")
    shown = client.get("/deliveries").text
    assert sender.forge.name in shown
    assert GUID in shown


def test_what_proves_nothing_is_counted_and_not_kept(client: Client, sender: Sender) -> None:
    body = encode(sender.load("update"))
    answer = send(client, sender, body, secret=b"wrong")
    assert answer.status_code == 401
    assert answer.json()["detail"] == (
        "No repository with this webhook secret: check the secret on both sides"
        f" ({sender.forge.about.proof_header} is needed)."
    )
    assert listed(client) == []
    assert "1 call" in client.get("/deliveries").text


def test_wrong_signatures_are_told_where_the_repository_is(
    client: Client, sender: Sender, context: ServerContext
) -> None:
    body = encode(sender.load("update"))
    clock: Any = context.clock
    began = clock.now()
    for _ in range(3):
        send(client, sender, body, secret=b"wrong")
        clock.advance(60)
    send(client, sender, body.replace(b"report", b"elsewhere"), secret=b"wrong")
    context.inbox.flush_rejected()
    (hook,) = client.get("/api/v1/projects/acme/hooks").json()["items"]
    assert (hook["refused_calls"], hook["refused_last_at"] > hook["refused_since"]) == (3, True)
    assert "3 calls with a wrong signature since" in " ".join(client.get("/projects/acme").text.split())
    (told,) = trouble_with_forges(context.db)
    last_at = began + timedelta(minutes=2)
    assert told == (
        f"Project acme, {hook['repository']}: 3 calls with a wrong signature since {began:%Y-%m-%d %H:%M} UTC, last at"
        f" {last_at:%Y-%m-%d %H:%M} UTC: the webhook secret here and that at the forge have to be the same."
    )
    send(client, sender, body)
    assert trouble_with_forges(context.db) == [], "what came since had the right one"
    client.patch("/api/v1/projects/acme", json={"webhook_secret": "another secret of acme"})
    (hook,) = client.get("/api/v1/projects/acme/hooks").json()["items"]
    assert (hook["refused_calls"], hook["refused_since"]) == (0, None)


def test_strangers_leave_one_row_for_each_repository_that_is_known(
    client: Client, sender: Sender, context: ServerContext
) -> None:
    known = encode(sender.load("update"))
    for number in range(20):
        send(client, sender, known.replace(b"report", b"other%d" % number), secret=b"wrong")
        send(client, sender, known, secret=b"wrong")
        context.inbox.flush_rejected()
    with context.db.write() as tx:
        ((project, _, calls),) = refused_calls.of_all(tx)
        assert (project, calls.calls) == ("acme", 20)
        refused_calls.sweep(tx, calls.last_at + timedelta(days=7))
        assert len(refused_calls.of_all(tx)) == 1
        refused_calls.sweep(tx, calls.last_at + timedelta(days=7, seconds=1))
        assert refused_calls.of_all(tx) == []


def test_a_repository_that_nobody_has_is_told_as_a_wrong_secret_is(
    client: Client, sender: Sender, context: ServerContext
) -> None:
    known = encode(sender.load("update"))
    unknown = known.replace(b"report", b"elsewhere")
    wrong = send(client, sender, known, secret=b"wrong")
    renamed = send(client, sender, unknown)
    assert (renamed.status_code, renamed.content) == (401, wrong.content)
    assert "elsewhere</code>" in client.get("/projects/acme").text
    (told,) = trouble_with_forges(context.db)
    assert "elsewhere, which nothing there has: was it renamed or transferred?" in told


def test_other_events_are_ignored(client: Client, sender: Sender) -> None:
    body = encode({**sender.load("update"), "action": "opened"})
    first, again = (send(client, sender, body, event=sender.other) for _ in range(2))
    assert (first.status_code, first.json()["status"]) == (202, "ignored")
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    (delivery,) = listed(client)
    assert delivery["sentence"] == f"Event {sender.other}: only pushes build."


def test_a_body_that_is_not_what_the_forge_sends_is_a_400(client: Client, sender: Sender) -> None:
    unreadable = send(client, sender, b'{"ref": ')
    assert (unreadable.status_code, "not JSON" in unreadable.json()["detail"]) == (400, True)
    empty = send(client, sender, b"{}")
    assert empty.status_code == 400
    title = sender.forge.about.title
    assert empty.json()["detail"].endswith(f" must be an object. {title} is expected to call this address.")
    without_id = sender.headers(SECRET, b"{}", "not an id")
    answer = client.post(sender.path, content=b"{}", headers=without_id)
    assert answer.status_code == 400
    names = f"{sender.forge.about.event_header} and {sender.forge.about.delivery_header}"
    assert answer.json()["detail"] == f"The headers {names} are both needed, once each."
    assert listed(client) == []


def test_a_call_of_another_forge_says_where_it_belongs(client: Client, sender: Sender) -> None:
    body = encode(sender.load("update"))
    for forge in (each for each in FORGES.values() if each.name != "generic"):
        if forge is sender.forge or (sender.forge.name, forge.name) == ("gitea", "github"):
            continue  # Gitea's calls are GitHub's as well
        answer = client.post(
            f"/webhooks/{forge.name}", content=body, headers=sender.headers(SECRET, body, GUID)
        )
        assert answer.status_code == 401
        assert answer.json()["detail"] == (
            f"This is a call of {sender.forge.about.title}: send it to /webhooks/{sender.forge.name}."
        )
    assert listed(client) == []


@pytest.mark.parametrize("sender", ["gitlab"], indirect=True)
def test_a_payload_of_another_forge_in_the_right_clothes_is_refused(client: Client, sender: Sender) -> None:
    answer = send(client, sender, encode(SENDERS["github"].load("update")))
    assert answer.status_code == 400
    assert answer.json()["detail"] == (
        "The payload's project must be an object. GitLab is expected to call this address."
    )


@pytest.mark.parametrize("sender", ["bitbucket"], indirect=True)
def test_each_ref_of_a_delivery_is_recorded_by_itself(client: Client, sender: Sender) -> None:
    body = encode(sender.load("several_refs"))
    first, again = send(client, sender, body), send(client, sender, body)
    assert (first.status_code, first.json()) == (202, {"delivery": GUID, "status": "accepted"})
    assert (again.status_code, again.json()) == (200, {"delivery": GUID, "status": "duplicate"})
    assert [each["id"] for each in listed(client)] == [f"{GUID}.2", f"{GUID}.1", GUID]


@pytest.mark.parametrize("sender", ["gitea"], indirect=True)
def test_a_form_of_gitea_is_signed_by_its_json(client: Client, sender: Sender) -> None:
    told = encode(sender.load("update"))
    headers = sender.headers(SECRET, told, GUID) | {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post(sender.path, content=urlencode({"payload": told.decode()}).encode(), headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")


@pytest.mark.parametrize("sender", ["github", "gitea", "forgejo", "gitlab"], indirect=True)
def test_pull_requests_are_taken_where_something_builds_them(client: Client, sender: Sender) -> None:
    payload = sender.load("pull_request")
    ignored = send(client, sender, encode(payload), "p1", event="pull_request")
    assert (ignored.status_code, ignored.json()["status"]) == (202, "ignored")
    assert listed(client)[0]["sentence"] == (
        "Event pull_request: nothing here builds pull requests for its branch, or it changes none's commit."
    )
    source = {"source": {"git": {"pull_requests": True}}}
    assert client.patch("/api/v1/projects/acme/jobs/report", json=source).status_code == 200
    taken = send(client, sender, encode(payload), "p2", event="pull_request")
    assert (taken.status_code, taken.json()) == (202, {"delivery": "p2", "status": "accepted"})
    broken = send(
        client,
        sender,
        encode({**payload, "pull_request": 7, "object_attributes": 7}),
        "p3",
        event="pull_request",
    )
    assert broken.status_code == 400


@pytest.mark.parametrize("sender", ["bitbucket_server"], indirect=True)
def test_a_ping_of_data_center_is_answered(client: Client, sender: Sender) -> None:
    answer = send(client, sender, encode(sender.load("ping")), event="ping")
    assert (answer.status_code, answer.json()) == (200, {"delivery": GUID, "status": "pong"})
    (delivery,) = listed(client)
    assert delivery["sentence"] == "A ping: the webhook's address and its secret are right."


def test_there_is_no_other_webhook(context: ServerContext) -> None:
    with Client(create_app(context, nullcontext)) as client:
        answer = client.post("/webhooks/svn", content=b"{}")
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no webhook for svn.")


# whatever comes


@pytest.fixture(scope="module")
def open_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    with (
        Installation.bare(tmp_path_factory.mktemp("fuzz")) as place,
        Client(create_app(place.web, nullcontext), headers=headers) as client,
    ):
        furnish(client, SENDERS["github"])
        yield client


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_bytes_are_answered_with_one_sentence(open_client: Client, data: st.DataObject) -> None:
    sender = SENDERS[data.draw(st.sampled_from(sorted(SENDERS)))]
    pieces = st.sampled_from(
        [b"{", b"}", b'"repository":', b'"push":', b"payload=", b"[", b"null", b"\xff", b"%FF"]
    )
    body = data.draw(st.binary(max_size=200) | st.lists(pieces, max_size=20).map(b"".join))
    secret = data.draw(st.sampled_from([SECRET, b"wrong"]))
    event = data.draw(st.sampled_from(["push", "ping", sender.other]))
    answer = send(
        open_client, sender, body, data.draw(st.sampled_from([GUID, "", "a b"])), secret=secret, event=event
    )
    assert answer.status_code in (200, 202, 400, 401)
    said = answer.json()
    assert said.get("detail") or said["status"] in ("pong", "ignored", "duplicate", "accepted")


# what is decided


@pytest.mark.parametrize("name", sorted(SENDERS))
def test_a_push_builds_and_two_hooks_for_it_build_once(
    place: Installation, server: Server, name: str
) -> None:
    sender = SENDERS[name]
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    with Client(create_app(place.web, nullcontext), headers=headers) as client:
        furnish(client, sender)
        body = encode(sender.load("update"))
        for guid in ("hook-1", "hook-2"):
            assert send(client, sender, body, guid).status_code == 202
        while server.intake.step():
            pass
        decided = client.get("/api/v1/decisions").json()["items"]
        assert sorted(each["verdict"] for each in decided) == ["built", "duplicate"]
        with place.db.read() as tx:
            (build,) = builds.page(tx, limit=10)
            assert build.sha == sender.forge.parse_push(sender.load("update")).after
        tag = "tag_annotated" if name == "github" else "tag_created"  # its recording is of another repository
        assert send(client, sender, encode(sender.load(tag)), "hook-3").status_code == 202
        assert send(client, sender, encode(sender.load("branch_deleted")), "hook-4").status_code == 202
        while server.intake.step():
            pass
        skipped = client.get("/api/v1/decisions").json()["items"][:2]
        assert {each["rule"] for each in skipped} == {"tag", "other_branch"}
        with place.db.read() as tx:
            assert deliveries.find(tx, "hook-1").status == "processed"
        assert client.post("/api/v1/deliveries/hook-1/replay").status_code == 202
