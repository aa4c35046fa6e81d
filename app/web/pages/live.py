"""Word of changes to an open page, as server-sent events. The page then fetches itself again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from sse_starlette import ServerSentEvent
from starlette.routing import Route

from app.store import topics
from app.web.event_streams import Stream, stream
from app.web.live import changes, event
from app.web.pages.context import PageContext, StreamRoute

AT_MOST_EVERY = 0.25  # seconds between two words of change
TOPICS = 20


def live(ctx: PageContext) -> Stream:
    """`/live?topics=run:7,jobs`: `changed` at once, as the page is older than this, then once a burst."""
    wanted = [each for each in ctx.query("topics").split(",")[:TOPICS] if _may_hear(ctx, each)]

    async def events() -> AsyncGenerator[ServerSentEvent]:
        is_first = True
        async for changed in changes(ctx.server, wanted, every=None):
            if changed or is_first:
                yield event("", name="changed")
                await asyncio.sleep(AT_MOST_EVERY)
            is_first = False

    return stream(ctx, events(), None)


def _may_hear(ctx: PageContext, topic: str) -> bool:
    """Whether a topic is a list's, or that of a thing within reach."""
    if ctx.projects is None or ":" not in topic:
        return True
    with ctx.server.db.read() as tx:
        project_id = topics.project_of(tx, topic)
    return project_id in ctx.projects


def routes() -> list[Route]:
    return [StreamRoute("/live", live)]
