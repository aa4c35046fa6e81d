"""Mail: what is sent, and by which server. Reading its address, and when a mail that was not taken is tried again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qs, unquote, urlsplit

from app.domain.errors import TransientError, UserError

SUCH = "such as smtps://user:password@mail.example.com:465?from=jobyard@example.com"
PORTS = {"smtp": 587, "smtps": 465}
DELAYS = tuple(timedelta(minutes=each) for each in (1, 5, 15, 60, 180))  # after each try; then it is given up


class MailUnavailable(TransientError):
    """The mail server did not answer, or asked to be tried later."""


class MailRefused(UserError):
    """The mail server does not take the message, and trying again changes nothing."""


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed over: by TLS from the beginning, or else by STARTTLS where the server has it."""

    host: str
    port: int
    is_tls: bool
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Message:
    """A mail in plain text. `key` is the same for every try of it, so that who got it twice can tell."""

    to: str
    subject: str
    text: str = field(repr=False)
    key: str = ""


def read_mail_server(text: str) -> MailServer:
    """The server of an address such as `SUCH`. Raises ValueError, with what would be right and no password in it."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"has a host or a port that can't be read: it must be an address, {SUCH}") from None
    if parts.scheme not in PORTS:
        raise ValueError(f"must begin with smtp:// or smtps://, {SUCH}")
    if not host or parts.path not in ("", "/") or parts.fragment:
        raise ValueError(f"must have a host, and nothing but ?from= after it, {SUCH}")
    asked = parse_qs(parts.query)
    sender = (asked.pop("from", None) or [""])[0]
    if asked or not is_address(sender):
        raise ValueError(f"must end with ?from= and the address that mail is sent from, {SUCH}")
    if bool(parts.username) != bool(parts.password):
        raise ValueError(f"must have both a user and a password, or neither, {SUCH}")
    return MailServer(
        host,
        port or PORTS[parts.scheme],
        parts.scheme == "smtps",
        sender,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


def is_address(text: str) -> bool:
    """Whether it can be somebody's address, of one word and without a line's end."""
    local, _, host = text.rpartition("@")
    return bool(local and host) and text.isascii() and text.isprintable() and " " not in text


def next_try(tries: int) -> timedelta | None:
    """How long after its n-th failed try a mail is tried again; None where it is given up."""
    return DELAYS[tries - 1] if tries <= len(DELAYS) else None
