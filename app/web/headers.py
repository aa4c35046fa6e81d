"""Headers that every answer carries."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = [
    (
        b"content-security-policy",
        (
            b"default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            b"object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]


def posting_to(origin: str) -> dict[str, str]:
    """The headers of a page whose form is for another site, too."""
    policy = dict(HEADERS)[b"content-security-policy"].decode()
    return {"content-security-policy": policy.replace("form-action 'self'", f"form-action 'self' {origin}")}


class SecurityHeaders:
    """Plain ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", [])
                said = {name.lower() for name, _ in given}
                message["headers"] = [
                    *given,
                    _date(int(time.monotonic())),
                    *(header for header in HEADERS if header[0] not in said),
                    *_of_caches(scope["path"], given),
                ]
            await send(message)

        await self.app(scope, receive, send_with_headers)


@lru_cache(maxsize=1)
def _date(_second: int) -> tuple[bytes, bytes]:
    """The header `date`, made once a second."""
    return b"date", formatdate(usegmt=True).encode()


def _of_caches(path: str, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Answers of the API are for who asked, and now: no cache keeps them. Pages and streams say so themselves."""
    is_said = any(name.lower() == b"cache-control" for name, _ in given)
    return [] if is_said or not path.startswith("/api/") else [(b"cache-control", b"no-store")]
