"""A log as a page shows it: a window of lines, more of them on demand, and what comes while it is open."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile

from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.logs import Line, LogReader, Stream, display_segments
from app.web.live import changes, event, stream
from app.web.pages.render import fragment
from app.web.yard import Yard

WINDOW = 1000  # lines
BEFORE_WANTED = 200  # lines shown before one that was asked for
NEAR = 64 * 1024
FAR = 1024 * 1024  # a reader this many bytes behind is shown the end instead of everything on the way
BREATH = 0.1  # seconds between two parcels of lines
LONGEST = 16 * 1024  # of one line on the page; the download has all of it
_ERROR = re.compile(
    rb"\b(error|errors|exception|traceback|fatal|panic|panicked|critical|failed|failure)\b|[a-z](Error|Exception)\b",
    re.IGNORECASE,
)
_NO_ERROR = re.compile(rb"\b(0|no) (errors?|failed|failures?)\b", re.IGNORECASE)


@dataclass(frozen=True)
class ShownLine:
    """A line ready for the template. `offset` is its place in the log, and its identity while it grows."""

    number: int
    offset: int
    at: datetime | None
    stream: str
    instance: int
    is_error: bool
    segments: list[tuple[str, str | None]]
    is_cut: bool


@dataclass(frozen=True)
class Window:
    """Some lines of a log. `before` and `after` are offsets to ask for more from, None where there is no more."""

    lines: list[ShownLine]
    before: int | None
    after: int | None
    end: int  # where following goes on
    number: int  # of the line there
    size: int  # of the log when it was read
    is_jump: bool = False  # what lies between this and the window before is left out


def shown(line: Line) -> ShownLine:
    text = line.text[:LONGEST]
    return ShownLine(
        number=line.number,
        offset=line.offset,
        at=line.at,
        stream=line.stream.name.lower(),
        instance=line.instance,
        is_error=line.stream is not Stream.SYSTEM and is_error(text),
        segments=display_segments(text),
        is_cut=len(line.text) > LONGEST,
    )


def is_error(text: bytes) -> bool:
    """Whether a line looks like one that somebody who looks for the error would stop at."""
    return _ERROR.search(text) is not None and _NO_ERROR.search(text) is None


def last_lines(log: LogReader) -> Window:
    return _window(log, log.tail(WINDOW))


def lines_around(log: LogReader, offset: int) -> Window:
    """The window that holds the line at `offset`, with some lines before it."""
    before = _lines_before(log, offset, BEFORE_WANTED)
    start = before[0].offset if before else min(offset, log.size)
    return lines_from(log, start)


def lines_from(log: LogReader, offset: int) -> Window:
    lines = list(log.lines(offset, WINDOW, number=log.number_at(offset)))
    return _window(log, lines)


def lines_before(log: LogReader, offset: int) -> Window:
    return _window(log, _lines_before(log, offset, WINDOW))


def _lines_before(log: LogReader, offset: int, count: int) -> list[Line]:
    reach = NEAR
    while True:
        start = max(offset - reach, 0)
        read = log.lines(start, number=log.number_at(start))
        lines = list(takewhile(lambda line: line.offset < offset, read))
        if start > 0 and lines:
            first = lines[0].number  # began before `start`, most likely
            lines = [line for line in lines if line.number != first]
        if len(lines) >= count or start == 0:
            return lines[max(len(lines) - count, 0) :]
        reach *= 4


def _window(log: LogReader, lines: list[Line]) -> Window:
    size = log.size
    if not lines:
        return Window([], None, None, size, 1, size)
    last = lines[-1]
    pending = not last.complete and last.end >= size
    return Window(
        lines=[shown(line) for line in lines],
        before=lines[0].offset or None,
        after=last.end if last.end < size else None,
        end=last.offset if pending else last.end,
        number=last.number + (0 if pending or not last.complete else 1),
        size=size,
    )


def rows(lines: Iterable[ShownLine], base: str, *, several: bool = False) -> str:
    """The lines as HTML; `base` is the page's address, for the links to lines. Of several instances, each line says
    whose it is."""
    return fragment("_log_rows.html", lines=lines, base=base, several=several)


def follow(
    yard: Yard,
    log: LogReader,
    topics: frozenset[str],
    is_over: Callable[[], bool],
    *,
    offset: int,
    number: int,
    base: str,
    several: bool = False,
) -> Response:
    """What comes after `offset`, as `lines` events of HTML; `reset` starts anew near the end; `end` is the last.

    The last line is sent again as it grows. An event's id is `OFFSET:NUMBER` of what follows it.
    """

    async def events() -> AsyncIterator[ServerSentEvent]:
        at, line, seen = offset, number, -1
        async for _ in changes(yard, topics):
            over = await run_in_threadpool(is_over)
            while log.size != seen:
                window = await run_in_threadpool(_next, log, at, line)
                at, line = window.end, window.number
                seen = window.size if window.after is None else -1
                if window.lines:
                    text = await run_in_threadpool(rows, window.lines, base, several=several)
                    yield event(text, name="reset" if window.is_jump else "lines", id_=f"{at}:{line}")
            if over:
                yield event("", name="end")
                return
            await asyncio.sleep(BREATH)

    return stream(events())


def _next(log: LogReader, offset: int, number: int) -> Window:
    if log.size - offset > FAR:
        return replace(last_lines(log), is_jump=True)
    window = _window(log, list(log.lines(offset, WINDOW, number=number)))
    return window if window.lines else replace(window, end=offset, number=number)
