"""Bodies of requests: no longer than they may be, and whole."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from app.web.problems import Problem

PATIENCE_SECONDS = 60.0


class CutShort(Problem):
    """The sender went away before the body was whole; `received` counts its bytes, `declared` is its Content-Length."""

    def __init__(self, received: int, declared: str) -> None:
        super().__init__(400, "The body was cut short.")
        self.received = received
        self.declared = declared


async def read_at_most(request: Request, limit: int) -> bytes:
    """The whole body, counted as it comes; `limit` is in bytes.

    Raises a Problem: 413 if it is longer, CutShort, 408 if it takes longer than PATIENCE_SECONDS.
    """
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal():
        raise Problem(400, "Content-Length is not a number.")
    if int(declared) > limit:
        raise _too_long(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_long(limit)
    except TimeoutError as error:
        raise Problem(408, f"The body did not arrive within {PATIENCE_SECONDS:.0f} s.") from error
    except ClientDisconnect as error:
        raise CutShort(len(body), declared) from error
    return bytes(body)


def _too_long(limit: int) -> Problem:
    size = f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit // 2**10} KiB"
    return Problem(413, f"The body is over the limit of {size}.")
