"""Addresses of notification targets: what each kind takes, and what can be told from one about its receiver's form."""

from __future__ import annotations

import base64
import binascii
import enum
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from app.domain import limits
from app.domain.errors import InvalidValue
from app.domain.hosts import is_refused_host
from app.domain.mail import is_address
from app.domain.notifications import Kind, State

SECRET_PREFIX = "whsec_"  # noqa: S105 - as Standard Webhooks begins a secret
SHORTEST_SECRET, LONGEST_SECRET = 24, 64  # bytes, by that standard
SUCH = {
    Kind.EMAIL: "a mail address such as ops@example.com",
    Kind.SLACK: "the address of an incoming webhook, such as https://hooks.slack.com/services/…",
    Kind.WEBHOOK: "an address such as https://example.com/hook or, with a secret, https://example.com/hook#whsec_…",
    Kind.NTFY: "the address of a topic, such as https://ntfy.sh/backups",
    Kind.PING: "the address of a check, such as https://hc-ping.com/UUID",
}
LINK_LOCAL = (
    "address is link-local, where clouds keep their machines' credentials and nobody takes messages: give another"
    " one."
)
_DISCORD = ("discord.com", "discordapp.com")
_TEAMS = (".webhook.office.com", ".logic.azure.com", ".powerplatform.com", ".powerautomate.com")
_OF_RUN = {State.STARTED: "/start", State.FAILED: "/fail"}  # after the address; a success has none


class Shape(enum.StrEnum):
    """The form of a message that a chat takes."""

    SLACK = "slack"  # also Mattermost's, Rocket.Chat's, and Discord's at an address that ends with /slack
    DISCORD = "discord"
    TEAMS = "teams"


def checked_address(kind: Kind, text: str) -> str:
    """Return the address without what surrounds it. Raises InvalidValue, with what would be right and no secret."""
    address = text.strip()
    wrong = InvalidValue("address", f"address must be {SUCH[kind]}.")
    if len(address) > limits.URL or not address.isprintable() or " " in address:
        raise wrong
    if kind is Kind.EMAIL:
        if not is_address(address) or len(address) > limits.EMAIL:
            raise wrong
        return address
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not host or not address.isascii():
        raise wrong
    if is_refused_host(host):
        raise InvalidValue("address", LINK_LOCAL)
    if not _fits(kind, parts.path, parts.fragment):
        raise wrong
    return address


def _fits(kind: Kind, path: str, fragment: str) -> bool:
    rules: Mapping[Kind, Callable[[], bool]] = {
        Kind.NTFY: lambda: not fragment and "/" not in path.strip("/") and bool(path.strip("/")),
        Kind.WEBHOOK: lambda: not fragment or is_secret(fragment),
    }
    return rules.get(kind, lambda: not fragment)()


def is_secret(text: str) -> bool:
    """Return whether it is a secret as Standard Webhooks has them: `whsec_` and 24 to 64 bytes as Base64."""
    if not text.startswith(SECRET_PREFIX):
        return False
    try:
        size = len(base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        return False
    return SHORTEST_SECRET <= size <= LONGEST_SECRET


def with_secret(address: str, secret: str) -> str:
    """Return the address of a signed webhook with its secret behind it."""
    return f"{address}#{secret}"


def split_secret(address: str) -> tuple[str, str]:
    """Return the address that is posted to, and the secret that stands behind it; empty if none does."""
    where, _, secret = address.partition("#")
    return where, secret


def shape_of(address: str) -> Shape:
    parts = urlsplit(address)
    host = (parts.hostname or "").lower()
    if any(host == each or host.endswith(f".{each}") for each in _DISCORD):
        return Shape.SLACK if parts.path.rstrip("/").endswith("/slack") else Shape.DISCORD
    return Shape.TEAMS if host.endswith(_TEAMS) else Shape.SLACK


def topic_of(address: str) -> tuple[str, str]:
    """Return where messages to an ntfy topic are posted as JSON, and the topic."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc, "/", parts.query, "")), parts.path.strip("/")


def ping_address(address: str, state: State, run: str) -> str:
    """Return where the begin or the end of a run is told, with an id by which both are put together."""
    parts = urlsplit(address)
    path = parts.path.rstrip("/") + _OF_RUN.get(state, "")
    query = (
        urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("rid", run)] if run else [])
        or parts.query
    )
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))
