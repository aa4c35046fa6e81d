"""Requests to servers on the web, and their answers, as values: made and read by pure functions, sent by `outbound`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.errors import Conflict, TransientError


@dataclass(frozen=True)
class HttpRequest:
    """`url`, `headers` and `json` may hold secrets; `reads` is how many bytes of the answer's body are wanted."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json: object = field(default=None, repr=False)  # None sends no body, or `body` as it is
    reads: int = 0
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class HttpAnswer:
    """Names of headers are in lower case; `body` is what was read of it, at most `HttpRequest.reads` bytes."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)


class NoAnswer(TransientError):
    """Nothing answered; `str` goes on from the name of what was asked: `did not answer in 10 s`."""


class NotAnAddress(Conflict):
    """`str` goes on from the name of what was asked: `is none that a request can be sent to`."""


class NotAllowed(Conflict):
    """Nothing is sent there; `str` goes on from the name of what was asked: `counts as private, …`."""
