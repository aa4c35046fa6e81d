"""Answers that go on: the events of one feed or of several, for as long as their reader may read them.

Each feed is taken from by one task for as long as it lasts: an event costs no task, and no timer, of its own. Whether
the reader may read on is asked beside that, at moments that lie apart for streams that were opened together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from app.web.live import NEWLINE
from app.web.request_context import RequestContext

ASK_AGAIN_SECONDS = 5.0  # between two looks at whether a reader may still read

Readable = Callable[[frozenset[int | None]], frozenset[int | None]]
Said = AsyncGenerator[tuple[str, ServerSentEvent | None]]


@dataclass(frozen=True)
class Feed:
    """Events for who may read in a project, or (None) anywhere."""

    events: AsyncGenerator[ServerSentEvent]
    project_id: int | None = None


class Stream(EventSourceResponse):
    """The answer of one feed. `feed` is for who has several in one."""

    def __init__(self, ctx: RequestContext, feed: Feed) -> None:
        self.feed = feed
        super().__init__(_of_one(ctx, feed), sep=NEWLINE)


def stream(ctx: RequestContext, events: AsyncGenerator[ServerSentEvent], project_id: int | None) -> Stream:
    """An answer of these events, for as long as the reader may read in that project, or (None) anywhere."""
    return Stream(ctx, Feed(events, project_id))


async def _of_one(ctx: RequestContext, feed: Feed) -> AsyncGenerator[ServerSentEvent]:
    async with aclosing(events_of(ctx, {"": feed})) as said:
        async for _, event in said:
            if event is not None:
                yield event


def events_of(ctx: RequestContext, feeds: Mapping[str, Feed]) -> Said:
    """What each feed says, by its key, as it comes; None is the last of one that is over, or may not be read any more.

    It ends with the last of them, and without another word once the reader may read nowhere, as one who signed out.
    """
    first_look = ctx.server.moments.next() * ASK_AGAIN_SECONDS
    return _Merged(feeds, ctx.still_readable, first_look).events()


class _Merged:
    """Several feeds as one. None is asked for more before what it said was taken."""

    def __init__(self, feeds: Mapping[str, Feed], readable: Readable, first_look: float) -> None:
        self._feeds, self._readable, self._first_look = feeds, readable, first_look
        self._said: asyncio.Queue[tuple[str | None, ServerSentEvent | None]] = asyncio.Queue()
        self._lost: set[str] = set()

    async def events(self) -> Said:
        tasks = {key: self._begun(key, self._take(key, feed)) for key, feed in self._feeds.items()}
        watch = self._begun(None, self._watch(tasks))
        try:
            while tasks:
                key, event = await self._said.get()
                if key is None:
                    watch.result()  # raises what looking raised
                    return
                if event is None and key not in self._lost:
                    tasks[key].result()  # raises what the feed raised
                if event is None:
                    del tasks[key]
                if event is None or key not in self._lost:
                    yield key, event
                self._said.task_done()
        finally:
            for task in (watch, *tasks.values()):
                task.cancel()
            await asyncio.gather(watch, *tasks.values(), return_exceptions=True)

    def _begun(self, key: str | None, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._said.put_nowait((key, None)))
        return task

    async def _take(self, key: str, feed: Feed) -> None:
        async with aclosing(feed.events) as events:
            async for event in events:
                self._said.put_nowait((key, event))
                await self._said.join()

    async def _watch(self, tasks: Mapping[str, asyncio.Task[None]]) -> None:
        """Returns when the reader may read nowhere."""
        await asyncio.sleep(self._first_look)
        while True:
            projects = frozenset(self._feeds[key].project_id for key in tasks)
            allowed = await run_in_threadpool(self._readable, projects | {None})
            if None not in allowed:
                return
            for key in [key for key in tasks if self._feeds[key].project_id not in allowed]:
                self._lost.add(key)
                tasks[key].cancel()
            await asyncio.sleep(ASK_AGAIN_SECONDS)
