"""All that a browser follows as one stream, as it opens no more than six connections to a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from itertools import islice

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from app.domain.errors import JobyardError
from app.web.event_streams import Feed, events_of
from app.web.live import NEWLINE, SharedEvent, event
from app.web.pages.context import PageContext, StreamRoute, get
from app.web.problems import Problem

Events = AsyncGenerator[ServerSentEvent]
FEEDS = 100  # that one browser may follow at once


def streams(ctx: PageContext) -> Response:
    """`/streams?a=/live?topics=jobs&b=/runs/…/follow?…`: the events of each, called `a:changed`, `b:lines`.

    `a:over` is the last of one that is over, or may not be followed. The stream ends with the last of them; where its
    reader has signed out it says no more: whoever asks again is told why.
    """
    asked = islice(ctx.request.query_params.items(), FEEDS)
    found = {key: _feed(ctx, address) for key, address in asked if key.isalnum()}
    feeds = {key: feed for key, feed in found.items() if feed is not None}
    return EventSourceResponse(_all_of(ctx, feeds, found.keys() - feeds.keys()), sep=NEWLINE)


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
                return route.handler(replace(ctx, request=Request({**scope, **found}))).feed
            except (JobyardError, Problem):
                return None
    return None


async def _all_of(ctx: PageContext, feeds: Mapping[str, Feed], missing: Iterable[str]) -> Events:
    for key in missing:
        yield event("", name=f"{key}:over")
    async with aclosing(events_of(ctx, feeds)) as said:
        async for key, each in said:
            yield event("", name=f"{key}:over") if each is None else _called(each, f"{key}:{each.event}")


def _called(said: ServerSentEvent, name: str) -> ServerSentEvent:
    return (
        said.called(name) if isinstance(said, SharedEvent) else event(str(said.data), name=name, id_=said.id)
    )


def routes() -> list[Route]:
    return [get("/streams", streams)]
