"""What every forge's webhook looks like to us."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.errors import InvalidValue
from app.domain.events import Push, RepositoryRef

Headers = Iterable[tuple[bytes, bytes]]
"""Raw name and value pairs as ASGI has them (`scope["headers"]`), so that a doubled header can be seen."""


_DELIVERY = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_HEX_DIGEST = re.compile(rb"[0-9a-f]{64}")
CHECK_RUN, CHECK_SUITE = "check_run", "check_suite"  # GitHub's alone, as its events are called


@dataclass(frozen=True, slots=True)
class About:
    """What is said of a forge where one of its calls is refused: its name, and the headers that it sends."""

    title: str
    event_header: str
    delivery_header: str
    proof_header: str  # has the signature or the token


class BadPayload(InvalidValue):
    """A payload was verified but isn't what the forge documents; `field` is the dotted path of what is wrong in it."""


class Forge(Protocol):
    """A kind of Git host. It has no state: everything comes in as an argument."""

    @property
    def name(self) -> str:
        """The last part of the webhook's path, such as `github`."""
        ...

    @property
    def about(self) -> About:
        """Return what is said of the forge where one of its calls is refused."""
        ...

    def verify(self, secret: bytes, body: bytes, headers: Headers) -> bool:
        """Return whether the call proves that its sender has `secret`, in constant time; an empty one proves nothing.

        Most forges sign the raw body; GitLab sends the secret itself.
        """
        ...

    def event_kind(self, headers: Headers) -> str | None:
        """Return `events.PUSH`, `PING`, `PULL_REQUEST`, or a kind in the forge's words; None if there is none."""
        ...

    def delivery_id(self, headers: Headers) -> str | None:
        """Return the id that stays when the forge sends a delivery again, `None` if absent or unreadable."""
        ...

    def repository_of(self, payload: object) -> RepositoryRef:
        """Return the repository that any event's payload (parsed JSON of any shape) is about. Raises `BadPayload`."""
        ...

    def repositories_in(self, body: bytes) -> Iterator[RepositoryRef]:
        """Return what a raw body seems to be about, cheaply: it is not verified yet, so this only chooses what to
        try.
        """
        ...

    def parts(self, payload: object) -> Sequence[object]:
        """Return a payload for each ref that a push moves: the very same where it is one. Raises `BadPayload`."""
        ...

    def parse_push(self, payload: object) -> Push:
        """Return the push that one of the `parts` tells of. Raises `BadPayload` and nothing else."""
        ...

    def parse_pull_request(self, payload: object) -> Push | None:
        """Return the head of a pull request that an event tells of, None if the event changes nothing to build.

        Raises `BadPayload` and nothing else.
        """
        ...


def wants_again(event: str, payload: object) -> bool:
    """Return whether somebody wants a check, or all of a commit that failed, started again."""
    is_of_checks = event in (CHECK_RUN, CHECK_SUITE)
    return is_of_checks and isinstance(payload, dict) and payload.get("action") == "rerequested"


def single_header(headers: Headers, name: bytes) -> bytes | None:
    """Return the value of a header (lower-case name) that was sent exactly once."""
    found = None
    for key, value in headers:
        if len(key) == len(name) and key.lower() == name:
            if found is not None:
                return None
            found = value
    return found


def announces(forge: Forge, headers: Headers) -> bool:
    """Return whether a call has the header by which the forge says what kind of event it is."""
    name = forge.about.event_header.lower().encode()
    return any(key.lower() == name for key, _ in headers)


def is_signed(secret: bytes, body: bytes, signature: bytes | None) -> bool:
    """Return whether a signature is the HMAC-SHA-256 of a body, as 64 lower-case hexadecimal digits."""
    if not secret or signature is None or not _HEX_DIGEST.fullmatch(signature):
        return False
    return hmac.compare_digest(hmac.digest(secret, body, "sha256").hex().encode(), signature)


def readable(value: bytes | None, shape: re.Pattern[bytes] = _DELIVERY) -> str | None:
    """Return a header's value as text, if it has the shape; the usual one is that of a delivery's id."""
    return value.decode() if value is not None and shape.fullmatch(value) else None


def one_part(payload: object) -> Sequence[object]:
    """Return the `parts` of forges that tell of each ref by itself."""
    return (payload,)
