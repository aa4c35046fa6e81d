"""Messages to an address, against a server that takes them, refuses them, or never answers."""

from __future__ import annotations

import logging
import socket

import pytest

from app import posting
from app.domain.errors import Conflict
from app.posting import NotDelivered, post_message
from tests.support.receiver import SECRET, receiver


def test_a_message_arrives_as_chats_take_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with receiver(204) as (url, got):
        assert (
            post_message(url, "Released 1.2 \u2713", "flow-run-1-2") == "The address took it with status 204."
        )
    assert got == [(f"/hooks/{SECRET}", {"text": "Released 1.2 \u2713"}, "flow-run-1-2")]
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, Conflict),
        (403, Conflict),
        (302, Conflict),
        (500, NotDelivered),
        (503, NotDelivered),
        (429, NotDelivered),
    ],
)
def test_what_is_not_taken(status: int, kind: type[Exception]) -> None:
    with receiver(status, Location="/elsewhere") as (url, got):
        with pytest.raises(kind, match=f"status {status}") as caught:
            post_message(url, "Released.", "key")
        assert len(got) == 1, "a redirect was followed"
    assert SECRET not in str(caught.value)


def test_an_address_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "TIME_LIMIT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{SECRET}"
        with pytest.raises(NotDelivered, match="The address did not answer") as caught:
            post_message(url, "Released.", "key")
    assert SECRET not in str(caught.value)


def test_where_nobody_listens_and_what_is_no_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NotDelivered, match="no connection"):
        post_message(f"http://127.0.0.1:{port}/{SECRET}", "Released.", "key")
    with pytest.raises(Conflict, match="none that a message can be sent to"):
        post_message(f"ftp://example.com/{SECRET}", "Released.", "key")
