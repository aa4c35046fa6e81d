"""What every forge's webhook looks like to us."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from app.domain.errors import InvalidValue
from app.domain.events import Push, RepositoryRef

Headers = Iterable[tuple[bytes, bytes]]
"""Raw name and value pairs as ASGI has them (`scope["headers"]`), so that a doubled header can be seen."""


class BadPayload(InvalidValue):
    """A verified payload that isn't what the forge documents; `field` is the dotted path in it."""


class Forge(Protocol):
    """One kind of Git host. Stateless: everything comes in as an argument."""

    @property
    def name(self) -> str:
        """The last part of the webhook's path, such as `github`."""
        ...

    def verify(self, secret: bytes, body: bytes, headers: Headers) -> bool:
        """Whether the raw body was signed with `secret`, in constant time; an empty secret signs nothing."""
        ...

    def event_kind(self, headers: Headers) -> str | None:
        """The kind of event in the forge's words (`push`, `ping`, …), `None` if absent or unreadable."""
        ...

    def delivery_id(self, headers: Headers) -> str | None:
        """The id that stays when the forge sends a delivery again, `None` if absent or unreadable."""
        ...

    def repository_of(self, payload: object) -> RepositoryRef:
        """The repository any event's payload (parsed JSON of any shape) is about, or `BadPayload`."""
        ...

    def repositories_in(self, body: bytes) -> Iterator[RepositoryRef]:
        """What a raw body seems to be about, cheaply: it is not verified yet, so this only chooses what to try."""
        ...

    def parse_push(self, payload: object) -> Push:
        """The push that a payload (parsed JSON of any shape) tells of, or `BadPayload`, nothing else."""
        ...


def single_header(headers: Headers, name: bytes) -> bytes | None:
    """The value of a header (lower-case name) that was sent exactly once."""
    found = None
    for key, value in headers:
        if len(key) == len(name) and key.lower() == name:
            if found is not None:
                return None
            found = value
    return found
