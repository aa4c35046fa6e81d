"""What every forge's webhook looks like to us."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from app.domain.errors import InvalidValue
from app.domain.events import Push, RepositoryRef

Headers = Iterable[tuple[bytes, bytes]]
"""Raw name and value pairs as ASGI has them (`scope["headers"]`), so that a doubled header can be seen."""


class BadPayload(InvalidValue):
    """A payload was verified but isn't what the forge documents; `field` is the dotted path of what is wrong in it."""


class Forge(Protocol):
    """A kind of Git host. It has no state: everything comes in as an argument."""

    @property
    def name(self) -> str:
        """The last part of the webhook's path, such as `github`."""
        ...

    def verify(self, secret: bytes, body: bytes, headers: Headers) -> bool:
        """Return whether the raw body was signed with `secret`, in constant time; an empty secret signs nothing."""
        ...

    def event_kind(self, headers: Headers) -> str | None:
        """Return the kind of event in the forge's words (`push`, `ping`, …), `None` if absent or unreadable."""
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

    def parse_push(self, payload: object) -> Push:
        """Return the push that a payload (parsed JSON of any shape) tells of. Raises `BadPayload` and nothing else."""
        ...


def single_header(headers: Headers, name: bytes) -> bytes | None:
    """Return the value of a header (lower-case name) that was sent exactly once."""
    found = None
    for key, value in headers:
        if len(key) == len(name) and key.lower() == name:
            if found is not None:
                return None
            found = value
    return found
