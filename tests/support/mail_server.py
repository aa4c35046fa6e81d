"""A mail server that keeps what it gets, one that answers nothing, and one that ends it at once."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.runtime.threads import running_beside
from tests.support.server import free_port

USER, PASSWORD = "jobyard", "the password of the mailbox"


@dataclass
class Postbox:
    """What came, and the answer that recipients get: `250`, or why not."""

    port: int = 0
    got: list[Message] = field(default_factory=list)
    answer: str = "250 OK"
    was_by_tls: list[bool] = field(default_factory=list)

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        self.got.append(message_from_bytes(envelope.content))
        self.was_by_tls.append(session.ssl is not None)
        return "250 OK"

    def text(self) -> str:
        """What the last mail says."""
        content = self.got[-1].get_payload(decode=True)
        assert isinstance(content, bytes)
        return content.decode()


@contextmanager
def mail_server(certificate: Path | None = None) -> Iterator[Postbox]:
    """A server without TLS or, with a certificate, one that takes a password by STARTTLS alone."""
    postbox = Postbox(free_port())
    more: dict[str, Any] = {}
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        more = {"tls_context": context, "require_starttls": True, "authenticator": _authenticate}
    controller = Controller(postbox, hostname="127.0.0.1", port=postbox.port, server_hostname="mail", **more)
    controller.start()
    try:
        yield postbox
    finally:
        controller.stop()


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that lets connect, and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def curt_server(says: bytes) -> Iterator[int]:
    """The port of a server that says that to the first one who comes, and no more."""

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(says)

    with socket.create_server(("127.0.0.1", 0)) as listener, running_beside("curt", refuse):
        yield listener.getsockname()[1]


def make_certificate(path: Path) -> Path:
    """A key and a certificate of 127.0.0.1 that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(pem))
    return path


def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    is_right = isinstance(given, LoginPassword) and (given.login, given.password) == (
        USER.encode(),
        PASSWORD.encode(),
    )
    return AuthResult(success=is_right, handled=is_right)
