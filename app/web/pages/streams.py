"""All that a browser follows as one stream, as it opens no more than six connections to a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from itertools import islice

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from app.domain.errors import JobyardError
from app.web.live import SharedEvent, event, stream
from app.web.pages.context import PageContext, StreamRoute, get
from app.web.problems import Problem

Feed = AsyncGenerator[ServerSentEvent]
FEEDS = 100  # that one browser may follow at once


def streams(ctx: PageContext) -> Response:
    """`/streams?a=/live?topics=jobs&b=/runs/…/follow?…`: the events of each, called `a:changed`, `b:lines`.

    `a:over` is the last of one that is over, or may not be followed. The stream ends with the last of them.
    """
    asked = islice(ctx.request.query_params.items(), FEEDS)
    feeds = {key: _feed(ctx, address) for key, address in asked if key.isalnum()}
    return stream(_all_of(feeds, ctx.may_still), ctx.may_still)


def _feed(ctx: PageContext, address: str) -> Feed | None:
    """What that address would answer; None where there is nothing to follow for this visitor."""
    path, _, query = address.partition("?")
    scope = {**ctx.request.scope, "path": path, "query_string": query.encode(), "path_params": {}}
    scope["headers"] = [each for each in scope["headers"] if each[0] != b"last-event-id"]
    for route in ctx.request.app.routes:
        if not isinstance(route, StreamRoute):
            continue
        match, found = route.matches(scope)
        if match is Match.FULL:
            try:
                answer = route.handler(replace(ctx, request=Request({**scope, **found})))
            except (JobyardError, Problem):
                return None
            assert isinstance(answer, EventSourceResponse)
            assert isinstance(answer.body_iterator, AsyncGenerator)
            return answer.body_iterator
    return None


async def _all_of(feeds: Mapping[str, Feed | None], may_still: Callable[[], bool]) -> Feed:
    """What each says, as it comes; of one feed in its order.

    Where a feed ends as its reader has signed out, all of it ends, and says no more: whoever asks again is told why.
    """
    coming: dict[asyncio.Future[ServerSentEvent | None], str] = {}
    try:
        for key, feed in feeds.items():
            if feed is None:
                yield event("", name=f"{key}:over")
            else:
                coming[asyncio.ensure_future(anext(feed, None))] = key
        while coming:
            done, _ = await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                key = coming.pop(each)
                said, feed = each.result(), feeds[key]
                if said is None and not await run_in_threadpool(may_still):
                    return
                if said is None or feed is None:
                    yield event("", name=f"{key}:over")
                else:
                    yield _called(said, f"{key}:{said.event}")
                    coming[asyncio.ensure_future(anext(feed, None))] = key
    finally:
        for each in coming:
            each.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
        for feed in feeds.values():
            if feed is not None:
                await feed.aclose()


def _called(said: ServerSentEvent, name: str) -> ServerSentEvent:
    return (
        said.called(name) if isinstance(said, SharedEvent) else event(str(said.data), name=name, id_=said.id)
    )


def routes() -> list[Route]:
    return [get("/streams", streams)]
