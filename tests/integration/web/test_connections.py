"""Strangers on the wire: slow, many and too long; others are answered meanwhile. No application's work is in it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.web.connections import Bounds, Connections, bounded, most_with, network_of

HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
held = threading.Event()
watching = threading.Semaphore(0)


async def healthz(_request: Request) -> Response:
    return PlainTextResponse("ok")


async def stream(request: Request) -> Response:
    """Answers when the test says so."""
    watching.release()
    await asyncio.get_running_loop().run_in_executor(None, held.wait, 20)
    return PlainTextResponse("done")


async def upload(request: Request) -> Response:
    """Takes the whole body, as a webhook does."""
    try:
        return PlainTextResponse(str(len(await request.body())))
    except ClientDisconnect:
        return Response(status_code=400)


@contextmanager
def serving(most: int = 100, graceful: int = 1, **bounds: float) -> Iterator[int]:
    """The port of a server with the bounds of the real one, but for some."""
    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/stream", stream),
            Route("/upload", upload, methods=["POST"]),
        ]
    )
    config = uvicorn.Config(
        app,
        log_level="error",
        http=bounded(Connections(most, replace(Bounds(), **bounds))),
        timeout_graceful_shutdown=graceful,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            held.set()
            server.should_exit = True
            thread.join(10)
            held.clear()


@pytest.fixture
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with serving(**getattr(request, "param", {})) as found:
        yield found


def connect(port: int, of: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(of, 0))


@contextmanager
def viewer(port: int) -> Iterator[socket.socket]:
    """One that waits for its answer, which the server knows."""
    with closing(connect(port)) as made:
        made.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert watching.acquire(timeout=20)
        yield made


def answer(connection: socket.socket) -> bytes:
    """All that is sent until the end, or a reset."""
    got = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            got += data
    return got


def is_answered(port: int) -> bool:
    with closing(connect(port)) as one:
        one.sendall(HEALTHZ)
        return b"200 OK" in one.recv(1000)


@pytest.mark.parametrize("port", [{"head_seconds": 0.2}], indirect=True)
def test_a_head_that_does_not_come_in_time(port: int) -> None:
    with closing(connect(port)) as silent, closing(connect(port)) as slow, closing(connect(port)) as late:
        slow.sendall(b"GET /healthz HT")
        late.sendall(HEALTHZ)
        assert b"200 OK" in late.recv(1000)
        late.sendall(b"\r\n")  # what comes between two requests counts as a head that has begun
        assert answer(silent) == b""
        assert b"408 Request Timeout" in answer(slow)
        assert b"408 Request Timeout" in answer(late)
    assert is_answered(port)


@pytest.mark.parametrize("port", [{"head_seconds": 0.1, "look_seconds": 0.05}], indirect=True)
def test_an_answer_under_way_is_not_cut_by_what_the_client_sends_early(port: int) -> None:
    with closing(connect(port)) as viewer, closing(connect(port)) as silent:
        viewer.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\nGET /hea")
        assert answer(silent) == b""  # so the time is over
        held.set()
        assert b"200 OK" in viewer.recv(1000)


@pytest.mark.parametrize("port", [{"heads_of_address": 4}], indirect=True)
def test_of_too_many_from_one_address_the_longest_waiting_go(port: int) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(connect(port))) for _ in range(9)]
        for each in slow:
            each.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert all(b"200 OK" not in answer(each) for each in slow[:5])
        assert is_answered(port)
        for each in slow[6:]:
            each.sendall(b"\r\n")
            assert b"200 OK" in each.recv(1000)


@pytest.mark.parametrize("port", [{"heads": 4}], indirect=True)
def test_of_too_many_from_many_addresses_the_longest_waiting_go(port: int) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(connect(port, f"127.0.1.{n}"))) for n in range(1, 10)]
        for each in slow:
            each.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert all(b"200 OK" not in answer(each) for each in slow[:5])
        assert is_answered(port)
        for each in slow[6:]:
            each.sendall(b"\r\n")
            assert b"200 OK" in each.recv(1000)


def test_live_streams_leave_room_and_those_who_wait_give_way() -> None:
    with serving(most=6) as port, ExitStack() as stack:
        viewers = [stack.enter_context(viewer(port)) for _ in range(5)]
        idle = stack.enter_context(closing(connect(port)))
        idle.sendall(HEALTHZ)
        assert b"200 OK" in idle.recv(1000)
        assert is_answered(port)
        assert answer(idle) == b""
        viewers.append(stack.enter_context(viewer(port)))
        with closing(connect(port)) as one:
            with suppress(OSError):
                one.sendall(HEALTHZ)
            refusal = answer(one)
        assert refusal.startswith(b"HTTP/1.1 503 Service Unavailable")
        assert b"retry-after: 5" in refusal
        held.set()
        assert all(b"200 OK" in each.recv(1000) for each in viewers)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\n" + b"X-A: " + b"a" * 70_000,
        b"GET /healthz HTTP/1.1\r\n" + (b"X-A: " + b"a" * 70_000 + b"\r\n") * 20,
        b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"POST /healthz HTTP/1.1\r\nX-A: " + b"a" * 66_000 + b"\r\nContent-Length: 3\r\n\r\nabc",
    ],
    ids=["unfinished", "endless", "many lines", "whole"],
)
def test_a_head_that_is_too_long(port: int, head: bytes) -> None:
    with closing(connect(port)) as one:
        one.sendall(head)
        assert answer(one).startswith(b"HTTP/1.1 431 Request Header Fields Too Large")
    assert is_answered(port)


def test_an_address_that_is_too_long(port: int) -> None:
    with closing(connect(port)) as one:
        one.sendall(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n")
        assert answer(one).startswith(b"HTTP/1.1 400 Bad Request")
    assert is_answered(port)


def test_a_long_body_behind_a_short_head_is_no_long_head(port: int) -> None:
    with closing(connect(port)) as one:
        one.sendall(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"a" * 200_000)
        assert b"405 Method Not Allowed" in one.recv(1000)
        one.sendall(HEALTHZ)
        assert b"200 OK" in one.recv(1000)


@pytest.mark.parametrize("port", [{"body_seconds": 0.1, "look_seconds": 0.05}], indirect=True)
def test_the_rest_of_a_body_that_nobody_wants(port: int) -> None:
    with closing(connect(port)) as one:
        one.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        assert b"200 OK" in answer(one)


def test_requests_that_do_not_wait_for_their_answers(port: int) -> None:
    with closing(connect(port)) as one:
        one.sendall(HEALTHZ * 5)
        got = b""
        while got.count(b"200 OK") < 5:
            got += one.recv(1000)
    with closing(connect(port)) as one:
        one.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n" + HEALTHZ * 1000)
        assert b"400 Bad Request" in answer(one)


def test_a_half_of_the_open_files_are_for_others() -> None:
    assert (most_with(300), most_with(1024), most_with(10**6), most_with(-1)) == (150, 512, 1000, 1000)


def test_what_counts_as_one_address() -> None:
    assert network_of("192.0.2.7") == network_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2%eth0") != network_of("2001:db8:0:1::1")
    assert network_of("") == ""


def test_a_body_that_stops_coming_holds_up_no_stop(caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    with ExitStack() as stack:
        with serving(graceful=60) as port:
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            client.sendall(head + b"half of it")
            with socket.create_connection(("127.0.0.1", port), 10) as other:
                other.sendall(HEALTHZ)  # whose answer comes after the upload has begun
                assert other.recv(100)
            began = time.monotonic()
        assert time.monotonic() - began < 30
    assert not caplog.records
