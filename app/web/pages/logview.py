"""A log as a page shows it: a window of lines, more of them on demand, and what comes while it is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from markupsafe import escape
from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.logs import LogReader, Row, Stream, display_segments, is_error, rows, rows_before, rows_from
from app.web.live import changes, event, stream
from app.web.pages.render import fragment
from app.web.server_context import ServerContext

WINDOW = 1000  # lines
BEFORE_WANTED = 200  # lines shown before one that was asked for
HEAVIEST = 1024 * 1024  # bytes of HTML in a window, as long as one line has no more
_ROW_MARKUP = 400  # bytes of HTML around the text of a line
_SEGMENT_MARKUP = 24  # around each of its coloured parts
FAR = 1024 * 1024  # a reader this many bytes behind is shown the end instead of everything on the way
BREATH = 0.1  # seconds between two parcels of lines


@dataclass(frozen=True)
class Place:
    """Whose log it is: `page` is the address that links to its lines begin with, `raw` that of its bytes in the API."""

    page: str
    raw: str
    several: bool = False  # instances, so that each line says whose it is

    def rest_of(self, line: ShownLine) -> str:
        """The address of what `line` doesn't show."""
        return f"{self.raw}{'&' if '?' in self.raw else '?'}offset={line.rest_at}&limit={line.rest}"


@dataclass(frozen=True)
class ShownLine:
    """A line ready for the template. `offset` is its place in the log, and its identity while it grows; `rest` is how
    many bytes of it follow from `rest_at` on that are not shown."""

    number: int
    offset: int
    at: datetime | None
    stream: str
    instance: int
    is_error: bool
    segments: list[tuple[str, str | None]]
    rest: int
    rest_at: int

    @property
    def weight(self) -> int:
        """About as many bytes as its HTML has."""
        parts = (_SEGMENT_MARKUP + len(classes or "") + _size(text) for text, classes in self.segments)
        return _ROW_MARKUP + sum(parts)


@dataclass(frozen=True)
class Window:
    """Some lines of a log. `before` and `after` are offsets to ask for more from, None where there is no more."""

    lines: list[ShownLine]
    before: int | None
    after: int | None
    end: int  # where following goes on
    number: int  # of the line there
    size: int  # of the log when it was read
    pending: Row | None = None  # the last line, while it is not over
    is_jump: bool = False  # what lies between this and the window before is left out


def shown(row: Row) -> ShownLine:
    return ShownLine(
        number=row.number,
        offset=row.offset,
        at=row.at,
        stream=row.stream.name.lower(),
        instance=row.instance,
        is_error=row.stream is not Stream.SYSTEM and is_error(row.text),
        segments=display_segments(row.text),
        rest=row.rest,
        rest_at=row.rest_at,
    )


def last_lines(log: LogReader) -> Window:
    size = log.size
    return _window(rows_before(log, size, WINDOW), size, from_end=True)


def lines_around(log: LogReader, offset: int) -> Window:
    """The window that holds the line at `offset`, with some lines before it."""
    size = log.size
    before = _fitting(rows_before(log, offset, BEFORE_WANTED), HEAVIEST // 2, from_end=True)
    return lines_from(log, before[0][0].offset if before else min(offset, size))


def lines_from(log: LogReader, offset: int) -> Window:
    size = log.size
    return _window(rows_from(log, offset), size)


def lines_before(log: LogReader, offset: int) -> Window:
    size = log.size
    return _window(rows_before(log, offset, WINDOW), size, from_end=True)


def _fitting(found: Iterable[Row], heaviest: int, *, from_end: bool = False) -> list[tuple[Row, ShownLine]]:
    """As many of the first rows, or of the last ones, as are not too heavy together; at least one."""
    fitting: list[tuple[Row, ShownLine]] = []
    weight = 0
    for row in islice(reversed(list(found)) if from_end else found, WINDOW):
        line = shown(row)
        weight += line.weight
        if fitting and weight > heaviest:
            break
        fitting.append((row, line))
    return fitting[::-1] if from_end else fitting


def _window(found: Iterable[Row], size: int, *, from_end: bool = False) -> Window:
    """`size` is that of the log before it was read."""
    fitting = _fitting(found, HEAVIEST, from_end=from_end)
    if not fitting:
        return Window([], None, None, size, 1, size)
    first, last = fitting[0][0], fitting[-1][0]
    pending = None if last.complete or last.end < size else last
    return Window(
        lines=[line for _, line in fitting],
        before=first.offset or None,
        after=last.end if last.end < size else None,
        end=last.end if pending is None else last.offset,
        number=last.number + (1 if last.complete else 0),
        size=size,
        pending=pending,
    )


def _size(text: str) -> int:
    return len(str(escape(text)).encode())


def html(lines: Iterable[ShownLine], place: Place) -> str:
    return fragment("_log_rows.html", lines=lines, place=place)


def follow(
    server: ServerContext,
    log: LogReader,
    topics: frozenset[str],
    is_over: Callable[[], bool],
    *,
    offset: int,
    number: int,
    place: Place,
    may_still: Callable[[], bool],
) -> Response:
    """What comes after `offset`, as `lines` events of HTML; `reset` starts anew near the end; `end` is the last.

    The last line is sent again as it grows. An event's id is `OFFSET:NUMBER` of what follows it.
    """

    async def events() -> AsyncGenerator[ServerSentEvent]:
        window, seen = Window([], None, None, offset, number, 0), -1
        async for _ in changes(server, topics):
            over = await run_in_threadpool(is_over)
            while log.size != seen:
                window = await run_in_threadpool(_next, log, window)
                seen = window.size if window.after is None else -1
                if window.lines:
                    text = await run_in_threadpool(html, window.lines, place)
                    name = "reset" if window.is_jump else "lines"
                    yield event(text, name=name, id_=f"{window.end}:{window.number}")
            if over:
                yield event("", name="end")
                return
            await asyncio.sleep(BREATH)

    return stream(events(), may_still)


def _next(log: LogReader, last: Window) -> Window:
    size = log.size
    begun = last.pending
    read_to = last.end if begun is None else begun.end
    if size - read_to > FAR:
        return replace(last_lines(log), is_jump=True)
    window = _window(rows(log.lines(read_to, number=last.number), begun), size)
    return window if window.lines else replace(window, end=last.end, number=last.number)
