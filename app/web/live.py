"""Server-sent events: what changes, as it changes. Streams hold no transaction and no buffer of their own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import suppress
from copy import copy

from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from app.logs import RunLog
from app.web.server_context import ServerContext

POLL_SECONDS = 1.0  # how late a change is seen of which no signal came
RARE_SECONDS = 15.0  # the same of a log that is written by this process, which signals each piece of it
NEWLINE = "\n"
_UNFINISHED = re.compile(rb"(?:\r|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z")


class Ear:
    """Hears topics published by any thread; what comes while nobody waits is kept, once each."""

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = frozenset(topics)
        self._heard: set[str] = set()
        self._rung = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def hear(self, topics: frozenset[str]) -> None:
        mine = topics & self._topics
        if mine:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._loop.call_soon_threadsafe(self._ring, mine)

    def _ring(self, topics: frozenset[str]) -> None:
        self._heard |= topics
        self._rung.set()

    async def wait(self, seconds: float | None) -> frozenset[str]:
        """The topics heard since the last time; empty when the time is over. None waits until there is something."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        self._rung.clear()
        heard, self._heard = frozenset(self._heard), set()
        return heard


async def changes(
    server: ServerContext, topics: Iterable[str], every: float | None = POLL_SECONDS
) -> AsyncIterator[frozenset[str]]:
    """Yields whenever something in `topics` changed, with which, and (empty) when nothing was heard for `every` s.

    The first comes at once and is empty: read the state then, and after each of the others. None is for who only
    passes on what changed. A log of which this process has told once needs no other look but a rare one.
    """
    ear = Ear(topics)
    with server.signals.listening(ear.hear):
        yield frozenset()
        while True:
            heard = await ear.wait(every)
            if every is not None and any(server.log_storage.is_written_here(topic) for topic in heard):
                every = max(every, RARE_SECONDS)
            yield heard


async def follow_log(
    server: ServerContext, topic: str, log: Callable[[], tuple[RunLog, bool]], offset: int
) -> AsyncGenerator[ServerSentEvent]:
    """A log from `offset` until it is over, then `event: end`.

    Each event's id is the offset to go on from, its data the text up to there, line breaks included. Carriage returns
    arrive as line breaks and what is no UTF-8 as U+FFFD: whoever wants the very bytes reads `text/plain`. `log` gives
    the log as it is now, and whether it is complete; it is asked in a thread, again when what has the log (`topic`)
    changes.
    """
    appended = f"log:{topic}"
    reader, is_over = await run_in_threadpool(log)
    async for heard in changes(server, (topic, appended)):
        if heard != {appended}:
            reader, is_over = await run_in_threadpool(log)
        while True:
            piece = await run_in_threadpool(reader.read, offset)
            if not piece.data and piece.next_offset > offset:
                offset = piece.next_offset  # nothing that is wanted was in there
                continue
            more_comes = not is_over and piece.next_offset >= reader.size
            ready = piece.data if piece.dropped else _whole(piece.data, more_comes=more_comes)
            if not ready:
                break
            offset = piece.next_offset - (len(piece.data) - len(ready))
            text = ready.decode("utf-8", "replace").replace("\r\n", "\n").replace("\0", "\ufffd")
            yield event(text, id_=str(offset))
        if is_over:
            yield event("", name="end", id_=str(offset))
            return


def _whole(data: bytes, *, more_comes: bool) -> bytes:
    """Without an unfinished character or line break at the end; with it where nothing can finish it any more."""
    unfinished = _UNFINISHED.search(data[-3:])
    whole = data[: len(data) - len(unfinished[0])] if unfinished else data
    return whole if whole or more_comes else data


def event(data: str, *, name: str | None = None, id_: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(data, event=name, id=id_, sep=NEWLINE)


class SharedEvent(ServerSentEvent):
    """An event for many readers, encoded once for all who call it the same."""

    def __init__(self, data: str, *, name: str, id_: str) -> None:
        super().__init__(data, event=name, id=id_, sep=NEWLINE)
        self._after_name = event(data, id_=id_).encode()
        self._encoded = self._named(name)
        self._others: dict[str, SharedEvent] = {}

    def called(self, name: str) -> SharedEvent:
        """The same event by another name."""
        other = self._others.get(name)
        if other is None:
            other = self._others[name] = copy(self)
            other.event, other._encoded = name, self._named(name)
        return other

    def encode(self) -> bytes:
        return self._encoded

    def _named(self, name: str) -> bytes:
        return f"event: {name}{NEWLINE}".encode() + self._after_name
