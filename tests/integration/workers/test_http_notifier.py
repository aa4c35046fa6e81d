"""Messages to an address, against a server that takes them, refuses them, or never answers."""

from __future__ import annotations

import datetime
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app import http_notifier
from app.domain.egress import Egress, Reach
from app.domain.errors import Conflict
from app.http_notifier import NotDelivered, post_message
from tests.support.receiver import SECRET, receiver

ANYWHERE = Egress()


def test_a_message_arrives_as_chats_take_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with receiver(204) as (url, got):
        assert (
            post_message(ANYWHERE, url, "Released 1.2 \u2713", "flow-run-1-2")
            == "The address took it with status 204."
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
            post_message(ANYWHERE, url, "Released.", "key")
        assert len(got) == 1, "a redirect was followed"
    assert SECRET not in str(caught.value)


def test_an_address_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_notifier, "TIME_LIMIT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{SECRET}"
        with pytest.raises(NotDelivered, match="The address did not answer") as caught:
            post_message(ANYWHERE, url, "Released.", "key")
    assert SECRET not in str(caught.value)


def test_where_nobody_listens_and_what_is_no_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NotDelivered, match="no connection"):
        post_message(ANYWHERE, f"http://127.0.0.1:{port}/{SECRET}", "Released.", "key")
    with pytest.raises(Conflict, match="none that a message can be sent to"):
        post_message(ANYWHERE, f"ftp://example.com/{SECRET}", "Released.", "key")


# where addresses lead

METADATA = "169.254.169.254"
CHAT = "chat.test"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """`names("1.2.3.4")` is what CHAT means when it is asked first, and so on; returns which names were asked for."""
    real = socket.getaddrinfo
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)

    def means(*answers: str | tuple[str, ...]) -> list[str]:
        asked: list[str] = []
        left = iter(answers)

        def answer(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            if name != CHAT:
                return real(host, port, *args, **options)
            asked.append(name)
            given = next(left)
            addresses = (given,) if isinstance(given, str) else given
            return [each for address in addresses for each in real(address, port, *args, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        return asked

    return means


@pytest.mark.parametrize(
    "host",
    [
        METADATA,
        "2852039166",
        "0xa9fea9fe",
        f"[::ffff:{METADATA}]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        f"[64:ff9b::{METADATA}]",
    ],
)
def test_a_link_local_address_gets_no_message(host: str, names: Callable[..., list[str]]) -> None:
    names()
    for scheme in ("http", "https"):
        with pytest.raises(Conflict, match=r"is link-local, .*: give the node another url\.") as caught:
            post_message(ANYWHERE, f"{scheme}://{host}/{SECRET}", "Released.", "key")
        assert SECRET not in str(caught.value)


def test_a_name_that_may_mean_such_an_address_gets_none(names: Callable[..., list[str]]) -> None:
    names(("127.0.0.1", METADATA))
    with receiver(204) as (url, got), pytest.raises(Conflict, match="is link-local"):
        post_message(ANYWHERE, url.replace("127.0.0.1", CHAT), "Released.", "key")
    assert got == []


def test_a_name_that_means_something_else_a_moment_later_gains_nothing(
    names: Callable[..., list[str]],
) -> None:
    asked = names("127.0.0.1", METADATA)
    with receiver(204) as (url, got):
        post_message(ANYWHERE, url.replace("127.0.0.1", CHAT), "Released.", "key")
    assert len(got) == len(asked) == 1


def test_the_next_address_is_tried_where_nobody_listens(names: Callable[..., list[str]]) -> None:
    names(("127.0.0.2", "127.0.0.1"))
    with receiver(204) as (url, got):
        post_message(ANYWHERE, url.replace("127.0.0.1", CHAT), "Released.", "key")
    assert len(got) == 1


def test_a_name_that_means_nothing_may_mean_something_later(names: Callable[..., list[str]]) -> None:
    names()
    with pytest.raises(NotDelivered, match="no connection"):
        post_message(ANYWHERE, f"https://nowhere.invalid/{SECRET}", "Released.", "key")


def test_where_the_setting_leaves_out_no_message_goes() -> None:
    internet = frozenset({Reach.INTERNET})
    with receiver(204) as (url, got):
        with pytest.raises(Conflict, match="The address counts as host, which is none of internet"):
            post_message(Egress(internet, asked=internet), url, "Released.", "key")
        assert got == []


def test_through_a_proxy_a_link_local_address_gets_none_either(
    names: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    names()
    with receiver(204) as (proxy, got):
        monkeypatch.setenv("http_proxy", proxy.partition("/hooks")[0])
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(Conflict, match="is link-local"):
            post_message(ANYWHERE, f"http://{METADATA}/{SECRET}", "Released.", "key")
        assert got == []
        post_message(ANYWHERE, f"http://nowhere.invalid/{SECRET}", "Released.", "key")
    assert [path for path, *_ in got] == [f"http://nowhere.invalid/{SECRET}"]


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, list[str]]]:
    """The port of a server with a certificate for CHAT alone, trusted here; and the hosts it was asked for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, CHAT)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(CHAT)]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "both.pem").write_bytes(private + certificate)
    (tmp_path / "trusted.pem").write_bytes(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    hosts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hosts.append(self.headers["Host"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port, hosts
        server.shutdown()
        thread.join()


def test_the_certificate_is_asked_for_by_name_though_the_address_is_fixed(
    chat: tuple[int, list[str]], names: Callable[..., list[str]]
) -> None:
    port, hosts = chat
    names("127.0.0.1")
    assert post_message(ANYWHERE, f"https://{CHAT}:{port}/x", "Released.", "key").endswith("status 200.")
    assert hosts == [f"{CHAT}:{port}"]
    with pytest.raises(NotDelivered):
        post_message(ANYWHERE, f"https://127.0.0.1:{port}/x", "Released.", "key")
    assert len(hosts) == 1
