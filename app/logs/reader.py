"""Reading a log while it is written, and after: bytes by offset, lines with time and source."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Final, NamedTuple

from app.domain.output import Stream
from app.logs.layout import RECORD, Part, Record, decode_records, parts
from app.logs.line_counts import breaks_before

BLOCK: Final = 64 * 1024
_BACKWARDS: Final = 256 * 1024  # read at once on the way back to where a line begins
_LONG_LINE: Final = 32 * 1024  # an unfinished line this long is handed out in pieces
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Piece(NamedTuple):
    """Bytes of a log and the offset to ask for next. Empty `data` means: nothing more yet.

    Where bytes were dropped by the size cap, `data` is the marker that says so and `dropped` their number:
    then `next_offset` is further on than `data` is long.
    """

    data: bytes
    next_offset: int
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line, or a piece of one: it also ends where another source speaks, and within a very long line.

    `number` counts line breaks from 1 over what is kept, so pieces of one line share it; `text` has no line
    break; `complete` says that one followed. `end` is the offset after it.
    """

    number: int
    offset: int
    end: int
    at: datetime | None
    stream: Stream
    instance: int
    text: bytes
    complete: bool


@dataclass(frozen=True, slots=True)
class _Extent:
    part: Part
    start: int
    end: int


class LogReader:
    """Reads the log whose first part is at `path`; one that does not exist yet reads as empty.

    It holds no file open, so it may be kept, and used beside the writer and by several threads. `fetch` is called
    before each look at the files: it brings those up to date that another server writes.
    """

    def __init__(self, path: Path, fetch: Callable[[Path], None] | None = None) -> None:
        self._path = path
        self._fetch = fetch

    @property
    def size(self) -> int:
        """The offset after the last byte, counting dropped ones."""
        return self._extents()[-1].end

    def read(self, offset: int, limit: int = BLOCK) -> Piece:
        """Return up to `limit` bytes from `offset`, fewer at the end of a part; none from beyond the end."""
        while True:
            try:
                return self._read(offset, limit)
            except (
                FileNotFoundError
            ):  # the writer dropped that part between our looking and opening: look again
                continue

    def pieces(self, offset: int = 0) -> Iterator[Piece]:
        """Yield all pieces from `offset` to the end as it is when reached."""
        while (piece := self.read(offset)).data:
            yield piece
            offset = piece.next_offset

    def lines(self, offset: int = 0, limit: int | None = None, *, number: int = 1) -> Iterator[Line]:
        """Yield at most `limit` lines from `offset` on; the first is given `number`.

        `offset` should be where a line begins (0, or a line's `end`). The last line may not be complete yet.
        """
        return islice(self._lines(offset, number), limit)

    def start_before(self, offset: int, count: int) -> int:
        """Return where the line begins that is the `count`-th before `offset`; 0 where there are fewer."""
        while True:
            try:
                return self._start_before(offset, count)
            except FileNotFoundError:  # as in `read`
                continue

    def number_at(self, offset: int) -> int:
        """Return the number of the line that `offset` is in."""
        while True:
            try:
                return self._number_at(offset)
            except FileNotFoundError:  # as in `read`
                continue

    def _number_at(self, offset: int) -> int:
        number, before = 1, None
        for extent in self._extents():
            if extent.start > (before.end if before else 0):  # the marker of what was dropped
                if offset < extent.start:
                    return number
                number += self._marker(before, 0, 0).data.count(b"\n")
            number += breaks_before(extent.part.data, min(offset, extent.end) - extent.start)
            if offset < extent.end:
                return number
            before = extent
        return number

    def _start_before(self, offset: int, count: int) -> int:
        later: _Extent | None = None
        for extent in reversed(self._extents()):
            until = min(
                extent.end, offset - 1
            )  # a line that begins before `offset` follows an earlier line break
            if (
                later is not None and extent.end < later.start
            ):  # the marker of what was dropped is a line between
                for start in (later.start, extent.end):
                    count -= start < offset
                    if count == 0:
                        return start
                until = min(until, extent.end - 1)
            while until > extent.start:
                begin = max(until - _BACKWARDS, extent.start)
                block = _read_at(extent.part.data, begin - extent.start, until - begin)
                breaks = block.count(b"\n")
                if breaks >= count:
                    return begin + _nth_from_end(block, count) + 1
                count, until = count - breaks, begin
            later = extent
        return 0

    def _extents(self) -> list[_Extent]:
        if self._fetch is not None:
            self._fetch(self._path)
        # All parts are listed before any is measured, so that every one but the last has its final size.
        return [_Extent(part, part.start, part.start + _size(part.data)) for part in parts(self._path)]

    def _read(self, offset: int, limit: int) -> Piece:
        before = None
        for extent in self._extents():
            if offset < extent.start:
                return self._marker(before, extent.start - offset, extent.start)
            if offset < extent.end:
                data = _read_at(extent.part.data, offset - extent.start, min(limit, extent.end - offset))
                return Piece(data, offset + len(data))
            before = extent
        return Piece(b"", before.end if before else 0)

    def _marker(self, before: _Extent | None, dropped: int, next_offset: int) -> Piece:
        on_new_line = (
            before is None
            or before.end == before.start
            or _read_at(before.part.data, before.end - before.start - 1, 1) == b"\n"
        )
        text = f"{'' if on_new_line else chr(10)}… {dropped:,} bytes dropped …\n"
        return Piece(text.encode(), next_offset, dropped)

    def _lines(self, offset: int, number: int) -> Iterator[Line]:
        start, block = offset, b""  # read, but not handed out yet
        for piece in self.pieces(offset):
            if piece.dropped:
                yield from self._cut(block, start, number)
                number += piece.data.count(b"\n")
                marker = piece.data.strip()
                yield Line(
                    number - 1,
                    piece.next_offset - piece.dropped,
                    piece.next_offset,
                    None,
                    Stream.SYSTEM,
                    0,
                    marker,
                    True,
                )
                start, block = piece.next_offset, b""
                continue
            block += piece.data
            done = start
            for line in self._cut(block, start, number):
                if (
                    not line.complete
                    and line.end == piece.next_offset
                    and line.end - line.offset < _LONG_LINE
                ):
                    break
                yield line
                done = line.end
            number += block.count(b"\n", 0, done - start)
            start, block = done, block[done - start :]
        yield from self._cut(block, start, number)

    def _cut(self, block: bytes, start: int, number: int) -> Iterator[Line]:
        """Cut `block`, which begins at offset `start`, into lines; the last may be incomplete."""
        if not block:
            return
        records = self.records(start, start + len(block))
        at, first, interrupted = 0, records[0], False
        for record, following in pairwise([*records, Record(start + len(block), 0, 0, 0)]):
            position, until = max(record.offset - start, 0), following.offset - start
            if at < position and record.source != first.source:
                # We ended it, so that others may go on.
                ended = record.stream == Stream.SYSTEM and block[position : position + 1] == b"\n"
                yield _line(number, start, at, position, first, block, complete=ended)
                at = position = position + ended
                interrupted = not ended
                number += ended
            if at == position:
                first = record
            while (newline := block.find(b"\n", position, until)) >= 0:
                # A line break alone that only ends what another source interrupted is no line of its own.
                if newline > at or not interrupted:
                    yield _line(number, start, at, newline, first, block, complete=True)
                at = position = newline + 1
                first, interrupted = record, False
                number += 1
        if at < len(block):
            yield _line(number, start, at, len(block), first, block, complete=False)

    def records(self, start: int, end: int) -> list[Record]:
        """Yield the records in force from `start` to `end`; the first holds at `start`."""
        found = [Record(0, -1, Stream.SYSTEM, 0)]
        for extent in self._extents():
            if extent.start < end and start < extent.end:
                found += _records_between(extent.part.index, start, end)
        first = bisect_right(found, start, key=lambda record: record.offset) - 1
        return found[first:]


def _nth_from_end(block: bytes, count: int) -> int:
    """Return where the `count`-th line break from the end is."""
    at = len(block)
    for _ in range(count):
        at = block.rfind(b"\n", 0, at)
    return at


def _line(
    number: int, start: int, at: int, until: int, record: Record, block: bytes, *, complete: bool
) -> Line:
    when = None if record.micros < 0 else _EPOCH + timedelta(microseconds=record.micros)
    end = start + until + complete
    return Line(
        number, start + at, end, when, Stream(record.stream), record.instance, block[at:until], complete
    )


def _records_between(index: Path, start: int, end: int) -> list[Record]:
    """Return, of one part's index, the record in force at `start` and those up to `end`, reading little more."""
    try:
        file = os.open(index, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    try:
        positions = range(os.fstat(file).st_size // RECORD.size)

        def offset_of(position: int) -> int:
            return int(RECORD.unpack(os.pread(file, RECORD.size, position * RECORD.size))[0])

        first = max(bisect_right(positions, start, key=offset_of) - 1, 0)
        last = bisect_right(positions, end - 1, lo=first, key=offset_of)
        return list(decode_records(os.pread(file, (last - first) * RECORD.size, first * RECORD.size)))
    finally:
        os.close(file)


def _read_at(path: Path, offset: int, count: int) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(file, count, offset)
    finally:
        os.close(file)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
