"""What is sent compressed, and what must not be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.seed import SUCCEEDED, World, world
from tests.support.server_context import ADMIN_TOKEN

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        yield each


@pytest.fixture
def client(made: World) -> Client:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Accept-Encoding": "gzip"}
    return Client(made.app(), headers=headers, follow_redirects=False)


@pytest.mark.parametrize("path", ["/", "/static/jobyard.css", "/api/v1/openapi.json"])
def test_what_is_read_whole_is_compressed_for_those_who_can(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in answer.headers["vary"].lower()
    assert int(answer.headers["content-length"]) < len(answer.content) / 2
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == answer.content


def test_the_answer_that_shows_a_new_token_is_not(client: Client) -> None:
    """Its size would say something about the token to who may choose a part of the page."""
    form = {"name": "laptop", "role": "viewer", "days": "30"}
    answer = client.post("/settings/tokens", data=form)
    assert "jy_" in answer.text
    assert "content-encoding" not in answer.headers


def test_logs_and_event_streams_are_not(made: World, client: Client) -> None:
    job = made.job("report")
    run = made.run(job, NOW, outcome=SUCCEEDED, log=b"a line of the log\n" * 500)
    for accept in ("text/plain", "text/event-stream"):
        answer = client.get(f"/api/v1/runs/{run}/logs", headers={"Accept": accept})
        assert answer.headers["content-type"].startswith(accept)
        assert "a line of the log" in answer.text
        assert "content-encoding" not in answer.headers
