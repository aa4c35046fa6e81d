"""Following a log on pages: what is new is read and made HTML once, for all who look at the same lines."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.web.event_streams import Stream, stream
from app.web.live import SharedEvent, changes, event
from app.web.numbers import whole_number
from app.web.pages.context import PageContext
from app.web.pages.logrows import Place, html, shown
from app.web.pages.logview import FAR, View, Window, last_lines_before, lines_between, next_lines
from app.web.problems import Problem
from app.web.server_context import ServerContext

BREATH: Final = 0.02  # seconds between two parcels of lines
_MOST_WAITING: Final = 200  # parcels of one reader who is slower than the log


@dataclass(frozen=True)
class Followed:
    """A log that is followed. `topics` tell of it, those that begin with `log:` of nothing but new lines; `is_over` is
    asked in a thread.
    """

    view: View
    topics: frozenset[str]
    is_over: Callable[[], bool]
    place: Place


@dataclass(frozen=True)
class _Parcel:
    """Lines as an event of the stream, and the place after them."""

    event: SharedEvent
    place: Window


@dataclass
class _Reader:
    """Somebody who follows: what they haven't got yet. One who is too slow is `lost`, and begins anew."""

    parcels: deque[_Parcel] = field(default_factory=deque)
    lost: bool = False
    rung: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, parcel: _Parcel) -> None:
        if len(self.parcels) == _MOST_WAITING:
            self.parcels.clear()
            self.lost = True
        if not self.lost:
            self.parcels.append(parcel)
        self.rung.set()


class _Feed:
    """Reads the log while somebody follows it. `window` is what was read last, and where it goes on."""

    def __init__(self, server: ServerContext, followed: Followed, window: Window) -> None:
        self.window = window
        self.is_over = False
        self._server, self._followed = server, followed
        self._readers: list[_Reader] = []
        self._lock = asyncio.Lock()
        self._is_left = False
        self._task = asyncio.ensure_future(self._run())

    @property
    def is_done(self) -> bool:
        return self._is_left or self._task.done()

    async def join(self) -> tuple[_Reader, Window]:
        """Return a reader of what comes after the window, which is all that was written when they came."""
        reader = _Reader()
        self._readers.append(
            reader
        )  # at once: who leaves meanwhile is not the last, with whom the reading ends
        try:
            async with self._lock:
                await self._catch_up()
                reader.parcels.clear()  # which are in the window
                reader.lost = False
                return reader, self.window
        except BaseException:
            self.leave(reader)
            raise

    def leave(self, reader: _Reader) -> None:
        if reader in self._readers:
            self._readers.remove(reader)
        if not self._readers:
            self._is_left = True
            self._task.cancel()

    async def next_of(self, reader: _Reader) -> _Parcel | None:
        """Return what comes next for the reader; None once there is nothing more, or they are lost. Raises what reading
        the log raised.
        """
        while not reader.parcels and not reader.lost:
            if self._task.done():
                with suppress(asyncio.CancelledError):
                    self._task.result()
                return None
            reader.rung.clear()
            await reader.rung.wait()
        return None if reader.lost else reader.parcels.popleft()

    async def _run(self) -> None:
        is_over = self._followed.is_over
        try:
            async for heard in changes(self._server, self._followed.topics):
                if not heard or not all(topic.startswith("log:") for topic in heard):
                    self.is_over = await run_in_threadpool(is_over)
                async with self._lock:
                    await self._catch_up()
                if self.is_over:
                    return
                await asyncio.sleep(BREATH)
        finally:
            asyncio.get_running_loop().call_soon(self._ring)

    def _ring(self) -> None:
        for reader in self._readers:
            reader.rung.set()

    async def _catch_up(self) -> None:
        while True:
            was = self.window
            self.window, parcel = await run_in_threadpool(self._next)
            if parcel is not None:
                for reader in self._readers:
                    reader.put(parcel)
            if self.window.after is None or self.window.end == was.end:
                return

    def _next(self) -> tuple[Window, _Parcel | None]:
        window = next_lines(self._followed.view, self.window)
        return window, _parcel(window, self._followed.place) if window.lines else None


class Feeds:
    """The logs that are followed, each with one reader, by the address of what is shown of it."""

    def __init__(self) -> None:
        self._feeds: dict[str, _Feed] = {}

    def of(self, server: ServerContext, followed: Followed, window: Window) -> _Feed:
        """Return the one that there is, or a new one that begins with `window`."""
        name = followed.place.page
        feed = self._feeds.get(name)
        if feed is None or feed.is_done:
            self._feeds = {key: each for key, each in self._feeds.items() if not each.is_done}
            feed = self._feeds[name] = _Feed(server, followed, window)
        return feed


def follow(ctx: PageContext, followed: Followed, project_id: int) -> Stream:
    """What comes after the place that is asked for, as `follow_from` says."""
    offset, number = position(ctx.request)
    feeds: Feeds = ctx.request.app.state.log_feeds
    events = follow_from(ctx.server, feeds, followed, offset, number)
    return stream(ctx, events, project_id)


async def follow_from(
    server: ServerContext, feeds: Feeds, followed: Followed, offset: int, number: int
) -> AsyncGenerator[ServerSentEvent]:
    """What comes after `offset`, where line `number` begins, as `lines` events of HTML; `reset` starts anew near the
    end; `end` is the last.

    The last line is sent again as it grows. An event's id is `OFFSET:NUMBER` of what follows it.
    """
    here = Window([], None, None, offset, number, 0)
    while True:
        feed = feeds.of(server, followed, here)
        reader, there = await feed.join()
        try:
            async for parcel in _up_to(followed, here, there):
                yield parcel.event
            here = there
            while (following := await feed.next_of(reader)) is not None:
                yield following.event
                here = following.place
            if not reader.lost:
                break
        finally:
            feed.leave(reader)
    if feed.is_over:
        yield event("", name="end")


def position(request: Request) -> tuple[int, int]:
    """Where to go on: after the last event that arrived, or from what the page has."""
    text = request.headers.get("last-event-id") or request.query_params.get("from", "")
    offset, number = (whole_number(part) for part in text.partition(":")[::2])
    if offset is None or number is None:
        raise Problem(400, "Following a log needs from=OFFSET:LINE.")
    return offset, number


async def _up_to(followed: Followed, here: Window, there: Window) -> AsyncGenerator[_Parcel]:
    """What lies between two places of a log, and the unfinished line at the second."""
    view, place = followed.view, followed.place
    while here.end < there.end and not here.is_jump:
        if there.end - here.end > FAR:
            here = await run_in_threadpool(last_lines_before, view, there.end)
        else:
            was, here = here.end, await run_in_threadpool(lines_between, view, here, there.end)
            if here.end == was:
                break
        if here.lines:
            yield await run_in_threadpool(_parcel, here, place)
    if there.pending is not None and view.has(there.pending):
        unfinished = replace(there, lines=[shown(there.pending)], is_jump=False)
        yield await run_in_threadpool(_parcel, unfinished, place)


def _parcel(window: Window, place: Place) -> _Parcel:
    name = "reset" if window.is_jump else "lines"
    text = html(window.lines, place)
    said = SharedEvent(text, name=name, id_=f"{window.end}:{window.number}")
    return _Parcel(said, replace(window, lines=[], is_jump=False))
