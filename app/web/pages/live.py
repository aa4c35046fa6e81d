"""Word of changes to an open page, as server-sent events. The page then fetches itself again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.web.pages.visit import page_error, require
from app.web.principal import Role, identify
from app.web.yard import Yard, yard_of

AT_MOST_EVERY = 0.25  # seconds between two words of change
PING_SECONDS = 15
TOPICS = 20


class Changes:
    """Wakes one task of the event loop when one of its topics changes; many changes are one."""

    def __init__(self, topics: frozenset[str]) -> None:
        self._topics = topics
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def hear(self, topics: frozenset[str]) -> None:
        if topics & self._topics and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        await self._event.wait()
        self._event.clear()


@asynccontextmanager
async def changes(yard: Yard, topics: frozenset[str]) -> AsyncIterator[Changes]:
    """Listens from before the first look at the store, so that nothing falls between."""
    heard = Changes(topics)
    with yard.signals.listening(heard.hear):
        yield heard


async def live(request: Request) -> Response:
    """`/live?topics=run:7,jobs`: one `changed` event for each burst of changes."""
    try:
        require(await run_in_threadpool(identify, request), Role.VIEWER)
    except Exception as error:
        return await page_error(request, error)
    topics = frozenset(request.query_params.get("topics", "").split(",")[:TOPICS])

    async def events() -> AsyncIterator[ServerSentEvent]:
        async with changes(yard_of(request), topics) as heard:
            yield ServerSentEvent("", event="ready")
            while True:
                await heard.wait()
                yield ServerSentEvent("", event="changed")
                await asyncio.sleep(AT_MOST_EVERY)

    return EventSourceResponse(events(), ping=PING_SECONDS)
