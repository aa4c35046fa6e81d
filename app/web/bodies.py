"""Bodies of requests, no longer than they may be."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from app.web.problems import Problem


async def read_at_most(request: Request, limit: int) -> bytes:
    """The whole body, counted as it comes; `limit` is in bytes. Raises a Problem if it is longer or cut short."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise Problem(413, f"The body is over the limit of {limit // 1024} KiB.")
    except ClientDisconnect as error:
        raise Problem(400, "The body was cut short.") from error
    return bytes(body)
