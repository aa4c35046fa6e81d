"""Word of changes to an open page, as server-sent events. The page then fetches itself again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.domain.principals import Role
from app.web.live import changes, event, stream
from app.web.pages.context import page_error, require
from app.web.principal import identify
from app.web.server_context import server_of

AT_MOST_EVERY = 0.25  # seconds between two words of change
TOPICS = 20


async def live(request: Request) -> Response:
    """`/live?topics=run:7,jobs`: `changed` at once, as the page is older than this, then once a burst."""
    try:
        require(await run_in_threadpool(identify, request), Role.VIEWER)
    except Exception as error:
        return await page_error(request, error)
    topics = request.query_params.get("topics", "").split(",")[:TOPICS]

    async def events() -> AsyncIterator[ServerSentEvent]:
        is_first = True
        async for changed in changes(server_of(request), topics):
            if changed or is_first:
                yield event("", name="changed")
                await asyncio.sleep(AT_MOST_EVERY)
            is_first = False

    return stream(events())
