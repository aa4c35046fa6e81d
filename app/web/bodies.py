"""Bodies of requests: no longer than they may be, in time, and whole."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from app.web.budget import BLOCK_BYTES, Bounds, Hold, hold_of
from app.web.problems import Problem

NO_ROOM = "Too many bodies are arriving at once, or this one stopped arriving: send it again in a moment."
_LONGEST_NUMBER = 18


class CutShort(Problem):
    """The sender went away before the body was whole; `received` counts its bytes, `declared` is its Content-Length."""

    def __init__(self, received: int, declared: str) -> None:
        super().__init__(400, "The body was cut short.")
        self.received = received
        self.declared = declared


async def read_at_most(request: Request, limit: int) -> bytes:
    """The whole body, counted as it comes; `limit` is in bytes.

    Raises a Problem: 413 if it is longer, CutShort, 408 if it comes too slowly, 503 while there is no room for it.
    """
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal():
        raise Problem(400, "Content-Length is not a number.")
    if len(declared) > _LONGEST_NUMBER or int(declared) > limit:
        raise _too_long(limit)
    body, hold = bytearray(), hold_of(request)
    bounds = hold.bounds
    size = int(declared) if "content-length" in request.headers else limit
    try:
        async with asyncio.timeout(min(bounds.block_seconds, bounds.patience_seconds)) as patience:
            hold.begin(size, patience)
            await _read(request, body, hold, limit, patience)
    except TimeoutError as error:
        if hold.is_out_of_room:
            raise Problem(503, NO_ROOM, headers={"Retry-After": "5"}) from error
        raise Problem(408, _too_slow(bounds)) from error
    except ClientDisconnect as error:
        raise CutShort(len(body), declared) from error
    finally:
        hold.end()
    return bytes(body)


async def _read(request: Request, body: bytearray, hold: Hold, limit: int, patience: asyncio.Timeout) -> None:
    loop = asyncio.get_running_loop()
    bounds, began_at = hold.bounds, loop.time()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_long(limit)
        before = hold.progressed_at
        if not hold.grow(len(body), loop.time()):
            patience.reschedule(None)  # meanwhile it is not the sender who is slow
            await hold.wait()
        if hold.progressed_at > before:
            ends_at = min(began_at + bounds.patience_seconds, hold.progressed_at + bounds.block_seconds)
            patience.reschedule(ends_at)


def _too_slow(bounds: Bounds) -> str:
    return (
        f"The body did not arrive in time: each {BLOCK_BYTES // 1024} KiB has {bounds.block_seconds:.0f} s,"
        f" and the whole {bounds.patience_seconds:.0f} s."
    )


def _too_long(limit: int) -> Problem:
    size = f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit // 2**10} KiB"
    return Problem(413, f"The body is over the limit of {size}.")
