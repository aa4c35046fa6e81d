"""The one reader of request bodies: the API's, the pages' and the webhooks'."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from app.web.bodies import CutShort, read_at_most
from app.web.budget import BodyBudget, Bounds
from app.web.problems import Problem

END, GONE = {"type": "http.request", "body": b""}, {"type": "http.disconnect"}


def chunk(body: bytes) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": True}


def read(
    messages: Sequence[dict[str, Any]],
    limit: int = 8,
    declared: str | None = None,
    **bounds: float,
) -> bytes:
    """With the messages that the server gets; after the last one comes nothing more."""
    waiting = iter(messages)

    async def receive() -> Any:
        message = next(waiting, None)
        if message is None:
            await asyncio.Event().wait()
        return message

    bodies = []

    async def app(scope: Scope, receive: Receive, _send: Send) -> None:
        bodies.append(await read_at_most(Request(scope, receive), limit))

    async def send(_message: Any) -> None:
        raise AssertionError

    headers = [] if declared is None else [(b"content-length", declared.encode())]
    scope = {"type": "http", "method": "POST", "headers": headers}
    asyncio.run(BodyBudget(app, Bounds(**bounds))(scope, receive, send))
    return bodies[0]


def test_a_body_comes_whole_up_to_the_limit() -> None:
    assert read([chunk(b"abcd"), chunk(b"efgh"), END]) == b"abcdefgh"
    assert read([END]) == b""


def test_a_body_over_the_limit_is_refused_as_soon_as_that_is_known() -> None:
    for messages, declared in (([], "9"), ([chunk(b"abcd"), chunk(b"efghi")], None)):
        with pytest.raises(Problem, match="over the limit of 0 KiB") as refused:
            read(messages, declared=declared)
        assert refused.value.status == 413


@pytest.mark.parametrize(("limit", "size"), [(64 * 1024, "64 KiB"), (25 * 1024 * 1024, "25 MiB")])
def test_the_limit_is_named(limit: int, size: str) -> None:
    with pytest.raises(Problem, match=f"The body is over the limit of {size}\\."):
        read([], limit, str(limit + 1))


@pytest.mark.parametrize("declared", ["", "-1", "1e3", "ten"])
def test_a_length_that_is_no_number(declared: str) -> None:
    with pytest.raises(Problem, match="Content-Length is not a number") as refused:
        read([], declared=declared)
    assert refused.value.status == 400


def test_a_body_that_is_cut_short_says_how_far_it_came() -> None:
    with pytest.raises(CutShort, match="cut short") as cut:
        read([chunk(b"abc"), GONE], declared="7")
    assert (cut.value.status, cut.value.received, cut.value.declared) == (400, 3, "7")


def test_a_body_that_does_not_arrive() -> None:
    with pytest.raises(Problem, match="did not arrive") as refused:
        read([chunk(b"abc")], patience_seconds=0.05)
    assert refused.value.status == 408
