"""Where links lead that pages and answers show: to the server as its setting, or else the reader, calls it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from app.web.app import create_app
from app.web.server_context import ServerContext
from tests.support.client import Client
from tests.support.seed import PASSWORD, world
from tests.support.server_context import ADMIN_TOKEN

LISTENING, SET = "http://127.0.0.1:8080", "https://jobyard.example.com"
API = "/api/v1/projects"
GIT = {"type": "git", "git": {"url": "ssh://git@github.com/acme/report", "branch": "main"}}
PAGES = ("/settings", "/deliveries", "/projects/acme")


@pytest.fixture
def unset(tmp_path: Path) -> Iterator[ServerContext]:
    """An installation whose address nobody has set."""
    with world(tmp_path) as made:
        yield replace(made.context, public_url=LISTENING, is_public_url_set=False)


def links(context: ServerContext, host: str) -> set[str]:
    """What all pages and answers call the server for somebody who calls it by `host`."""
    client = Client(create_app(context, nullcontext), headers={"Host": host})
    assert client.post("/login", data={"name": "admin-user", "password": PASSWORD}).status_code == 200
    client.headers["Authorization"] = f"Bearer {ADMIN_TOKEN}"
    once = {"Idempotency-Key": "the same for all"}
    client.post(API, json={"name": "acme"})
    client.post(f"{API}/acme/jobs", json={"name": "report", "source": GIT}, headers=once)
    client.post(f"{API}/acme/flows", json={"name": "release", "nodes": [{"name": "ok", "type": "approval"}]})
    answers = [
        client.get(f"{API}/acme/jobs/report").text,
        client.get(f"{API}/acme/jobs").text,
        client.post(f"{API}/acme/jobs/report/runs?dry_run=1", json={"image": "busybox"}).text,
        client.post(f"{API}/acme/flows/release/webhook").text,
        client.post("/projects/acme/flows/release/webhook").text,
        *(client.get(page).text for page in PAGES),
    ]
    found = [re.findall(r"https?://[^/\s\"<&]+", text) for text in answers]
    assert all(found)
    return {url for urls in found for url in urls}


def called(context: ServerContext, host: str) -> str:
    """What one answer calls the server."""
    client = Client(create_app(context, nullcontext), headers={"Host": host})
    answer = client.get(f"{API}/acme/jobs/report", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    return str(answer.json()["webhook_url"]).removesuffix("/webhooks/github")


def test_without_a_setting_the_reader_is_told_what_reached_the_server(unset: ServerContext) -> None:
    assert links(unset, "context.lan:8080") == {"http://context.lan:8080"}
    for host in ("10.0.0.7", "[2001:db8::1]:8080", "localhost"):
        assert called(unset, host) == f"http://{host}"
    for no_host in ("", "two words", "a'b", "a,b", "evil.example/x", "<b>", "user@evil.example"):
        assert called(unset, no_host) == LISTENING


def test_with_a_setting_the_reader_has_no_say(unset: ServerContext) -> None:
    assert links(replace(unset, public_url=SET, is_public_url_set=True), "evil.example") == {SET}


def test_the_host_of_a_request_is_never_stored(unset: ServerContext, tmp_path: Path) -> None:
    assert links(unset, "evil.example") == {"http://evil.example"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(b"evil.example" in path.read_bytes() for path in files)
