"""What really goes over the wire: to an address on the web, and to a mail server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from standardwebhooks import Webhook

from app.commands.notification_sending import request_of
from app.domain.egress import Egress
from app.domain.errors import Conflict
from app.domain.mail import MailServer, Message
from app.domain.notification_texts import Telling
from app.domain.notifications import Item, Kind, State
from app.http_notifier import NotDelivered, post
from app.mail import Mailer
from tests.support.mail_server import curt_server, mail_server
from tests.support.receiver import SECRET

ANYWHERE = Egress()
SIGNED_WITH = "whsec_" + "QUJD" * 8


@contextmanager
def answering(status: int, **headers: str) -> Iterator[tuple[str, list[tuple[str, bytes, dict[str, str]]]]]:
    """The address of a server that answers so, and what it got, as it came."""
    got: list[tuple[str, bytes, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{SECRET}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def telling() -> Telling:
    at = datetime.now(UTC)
    item = Item("failure", State.FAILED, "report failed", "Exited with code 3.", at, "/runs/7", "report")
    return Telling("shop", "hook", (item,), 1, "https://ci.example.com", "jobyard-1", at)


def test_a_receiver_verifies_a_webhook_by_the_library_of_the_standard() -> None:
    with answering(204) as (address, got):
        request = request_of(Kind.WEBHOOK, f"{address}#{SIGNED_WITH}", telling(), datetime.now(UTC))
        assert post(ANYWHERE, request.url, request.body, request.headers) == (
            "The address took it with status 204."
        )
    ((path, body, headers),) = got
    assert path == f"/{SECRET}"
    assert headers["content-type"] == "application/json"
    verified = Webhook(SIGNED_WITH).verify(body, headers)
    assert verified["data"]["subject"] == "[shop] report failed"
    assert headers["webhook-id"] == "jobyard-1"


def test_a_ping_is_plain_text() -> None:
    with answering(200) as (address, got):
        request = request_of(Kind.PING, address, telling(), datetime.now(UTC))
        post(ANYWHERE, request.url, request.body, request.headers)
    ((path, body, headers),) = got
    assert (path, body) == (f"/{SECRET}/fail", b"Exited with code 3.")
    assert headers["content-type"] == "text/plain"


@pytest.mark.parametrize(
    ("asked", "wish"), [("90", timedelta(seconds=90)), ("tomorrow", None), ("9" * 400, None)]
)
def test_a_receiver_says_when_to_come_again(asked: str, wish: timedelta | None) -> None:
    with answering(429, Retry_After=asked) as (address, _), pytest.raises(NotDelivered) as refused:
        post(ANYWHERE, address, b"{}", {})
    assert refused.value.wish == wish
    assert str(refused.value) == "The address answered with status 429."


@pytest.mark.parametrize("garbage", [b"\x00\xff not HTTP at all\r\n\r\n", b"HTTP/1.1 banana\r\n\r\n", b""])
def test_garbage_is_one_sentence(garbage: bytes) -> None:
    with curt_server(garbage) as port, pytest.raises(NotDelivered) as refused:
        post(ANYWHERE, f"http://127.0.0.1:{port}/{SECRET}", b"{}", {})
    assert str(refused.value).startswith("The address can't be reached: ")
    assert SECRET not in str(refused.value)


def test_what_is_of_no_use_names_the_target() -> None:
    with answering(404) as (address, _), pytest.raises(Conflict) as refused:
        post(ANYWHERE, address, b"{}", {})
    assert (
        str(refused.value) == "The address refused the message with status 404: look at the target's address."
    )
    with pytest.raises(Conflict, match=r"link-local.*: give the target another one.$"):
        post(ANYWHERE, "http://169.254.169.254/x", b"{}", {})


def test_every_try_of_a_mail_has_the_same_id() -> None:
    with mail_server() as postbox:
        mailer = Mailer(MailServer("127.0.0.1", postbox.port, is_tls=False, sender="jobyard@example.com"))
        for _ in range(2):
            mailer.send(Message("ops@example.com", "[shop] report failed", "It failed.", "jobyard-1"))
        mailer.send(Message("ops@example.com", "Another", "It failed."))
    ids = [mail["Message-ID"] for mail in postbox.got]
    assert ids[:2] == ["<jobyard-1@example.com>"] * 2
    assert ids[2] not in ids[:2]
    assert postbox.got[0]["Auto-Submitted"] == "auto-generated"
