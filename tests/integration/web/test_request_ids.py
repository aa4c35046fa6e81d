"""Every request has an id, which its answer, its problem and the lines of the log name."""

from __future__ import annotations

import logging
import re
from contextlib import nullcontext

import pytest
from starlette.testclient import TestClient

from app.runtime.log_format import OfRequest
from app.web.app import create_app
from app.web.server_context import ServerContext
from tests.support.client import Client

MADE = re.compile(r"[0-9a-f]{16}")


@pytest.fixture
def client(context: ServerContext) -> Client:
    return Client(create_app(context, nullcontext))


@pytest.mark.parametrize("path", ["/healthz", "/login", "/static/none", "/api/v1/jobs", "/webhooks/none"])
def test_every_answer_has_an_id_of_its_own(client: Client, path: str) -> None:
    first, second = (client.get(path).headers.get_list("x-request-id") for _ in range(2))
    assert len(first) == len(second) == 1
    assert first != second
    assert MADE.fullmatch(first[0])


@pytest.mark.parametrize("offered", ["a", "trace.7_of-9", "x" * 64])
def test_a_short_and_harmless_id_of_the_caller_is_taken(client: Client, offered: str) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": offered}).headers["x-request-id"] == offered


@pytest.mark.parametrize("offered", ["", "x" * 65, "two words", '{"a":1}', "<b>", "-rf", "\xe9"])
def test_any_other_is_replaced(client: Client, offered: str) -> None:
    answer = client.get("/healthz", headers={"X-Request-Id": offered.encode("latin-1")})
    assert MADE.fullmatch(answer.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/api/v1/projects", "/api/v1/nothing", "/webhooks/none"])
def test_a_problem_names_the_request(client: Client, path: str) -> None:
    answer = client.post(path, headers={"X-Request-Id": "mine"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == "mine"


def test_what_goes_wrong_unexpectedly_is_logged_with_the_id(
    context: ServerContext, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("app.store.database.Database.check", fail)
    client = TestClient(create_app(context, nullcontext), raise_server_exceptions=False)
    caplog.handler.addFilter(mark := OfRequest())
    try:
        answer = client.get("/readyz", headers={"X-Request-Id": "mine"})
    finally:
        caplog.handler.removeFilter(mark)
    assert answer.status_code == 500
    assert answer.headers.get_list("x-request-id") == ["mine"]
    assert ("a request failed", "mine") in [
        (each.getMessage(), getattr(each, "request_id", "")) for each in caplog.records
    ]


def test_other_lines_of_the_log_have_none(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("app.tests").info("by itself")
    assert caplog.records
    assert OfRequest().filter(caplog.records[-1])
    assert caplog.records[-1].request_id == ""  # type: ignore[attr-defined]
