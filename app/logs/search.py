"""Which lines of a log are looked for, found within a bounded amount of work, and gone on from there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, NamedTuple, Protocol

from app.domain.output import Stream
from app.logs.display import without_escapes
from app.logs.reader import BLOCK, LogReader
from app.logs.rows import Row
from app.logs.selection import Selection

BUDGET: Final = 4 * 1024 * 1024  # bytes that one call looks at, give or take a line
_MOST_LINES: Final = 20_000  # looked at one by one in one call, give or take a block
SEARCHED_OF_LINE: Final = 1024 * 1024  # bytes of one line that are searched; what follows them is passed over
_ERROR: Final = re.compile(
    rb"(?i:\b(error|errors|exception|traceback|fatal|panic|panicked|critical|failed|failure)\b)"
    rb"|[a-z](Error|Exception)\b"
)
_NO_ERROR: Final = re.compile(rb"\b(0|no) (errors?|failed|failures?)\b", re.IGNORECASE)
_STEMS: Final = (b"error", b"exception", b"traceback", b"fatal", b"panic", b"critical", b"fail")


class Searched(NamedTuple):
    """A line: what a page shows of it, and all of it that is searched, without escape sequences."""

    row: Row
    text: bytes


class Wanted(Protocol):
    """What is looked for."""

    def may_be_in(self, block: bytes) -> bool:
        """Return False only if no line of the block, which is without escape sequences, is wanted: most of a log is
        passed over by this.
        """

    def is_in(self, line: Searched) -> bool:
        """Return whether the line is wanted."""

    def position(self, text: bytes) -> int:
        """Return about where in a wanted line's text it is."""


@dataclass(frozen=True)
class Containing:
    """Lines that contain a text, whatever the case of letters unless `exact_case`; in a text of ASCII, of its own."""

    needle: str
    exact_case: bool = False
    _folded: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_folded", self._fold(self.needle.encode("utf-8", "replace")))

    def may_be_in(self, block: bytes) -> bool:
        return self._folded in self._fold(block)

    def is_in(self, line: Searched) -> bool:
        return self._folded in self._fold(line.text)

    def position(self, text: bytes) -> int:
        """Return about where in a line's text it is."""
        return max(self._fold(text).find(self._folded), 0)

    def _fold(self, raw: bytes) -> bytes:
        if self.exact_case:
            return raw
        if self.needle.isascii():
            return raw.lower()
        return raw.decode("utf-8", "replace").lower().encode()


class Errors:
    """Lines that look like one that somebody who looks for the error would stop at; none of Jobyard's own."""

    def may_be_in(self, block: bytes) -> bool:
        lower = block.lower()
        return any(stem in lower for stem in _STEMS)

    def is_in(self, line: Searched) -> bool:
        return line.row.stream is not Stream.SYSTEM and is_error(line.row.text)

    def position(self, text: bytes) -> int:
        found = _ERROR.search(without_escapes(text))
        return found.start() if found else 0


def is_error(text: bytes) -> bool:
    """Return whether a line looks like an error, whatever colours it has."""
    plain = without_escapes(text)
    return _ERROR.search(plain) is not None and _NO_ERROR.search(plain) is None


class Place(NamedTuple):
    """Where a search goes on: at the beginning of line `number`, or (`inside`) within it, in what isn't searched."""

    offset: int = 0
    number: int = 1
    inside: bool = False


BEGINNING: Final = Place()


@dataclass(frozen=True)
class Found:
    """Lines in order, and where to go on. `is_complete`: the end was reached.

    The line at the end may still grow: going on from there looks at it again, and finds it again.
    """

    lines: list[Searched]
    place: Place
    is_complete: bool
    looked_at: int


class _Stretch(NamedTuple):
    """Bytes up to `end`: whole lines, or as much of one as is searched (`is_cut`), or (`is_last`) all there is."""

    data: bytes
    end: int
    is_cut: bool = False
    is_last: bool = False


def search(
    log: LogReader,
    wanted: Wanted,
    selection: Selection,
    place: Place = BEGINNING,
    *,
    limit: int = 100,
    budget: int = BUDGET,
    block: int = BLOCK,
) -> Found:
    """Return the first lines from `place` on that are wanted: `limit`, or as many as a bounded amount of work finds."""
    lines: list[Searched] = []
    begun, examined = place.offset, 0
    while len(lines) < limit and place.offset - begun < budget and examined < _MOST_LINES:
        if place.inside:
            place = _after_line(log, place, budget - (place.offset - begun), block)
            continue
        stretch = _stretch(log, place.offset, block)
        following = Place(stretch.end, place.number + stretch.data.count(b"\n"), stretch.is_cut)
        if wanted.may_be_in(without_escapes(stretch.data)):
            for line in _whole_lines(log, place, stretch.end):
                examined += 1
                row = line.row
                if selection.has(row.stream, row.instance) and wanted.is_in(line):
                    if len(lines) == limit:
                        return Found(lines, Place(row.offset, row.number), False, row.offset - begun)
                    lines.append(line)
        if stretch.is_last:
            unfinished = len(stretch.data) - (stretch.data.rfind(b"\n") + 1)
            return Found(lines, Place(stretch.end - unfinished, following.number), True, stretch.end - begun)
        place = following
    return Found(lines, place, False, place.offset - begun)


def _stretch(log: LogReader, offset: int, block: int) -> _Stretch:
    """Read whole lines from `offset`, where a line begins."""
    data, end = b"", offset
    while len(data) < SEARCHED_OF_LINE:
        piece = log.read(end, block)
        if piece.dropped and data:
            return _Stretch(data, end)
        if not piece.data:
            return _Stretch(data, end, is_last=True)
        data, end = data + piece.data, piece.next_offset
        if piece.dropped:
            return _Stretch(data, end)
        if cut := data.rfind(b"\n") + 1:
            return _Stretch(data[:cut], end - (len(data) - cut))
    return _Stretch(data, end, is_cut=True)


def _after_line(log: LogReader, place: Place, budget: int, block: int) -> Place:
    """Pass over the rest of a line, or `budget` bytes of it."""
    offset = place.offset
    while offset - place.offset < budget:
        piece = log.read(offset, block)
        if piece.dropped or not piece.data:
            return Place(offset, place.number)
        if (newline := piece.data.find(b"\n")) >= 0:
            return Place(offset + newline + 1, place.number + 1)
        offset = piece.next_offset
    return Place(offset, place.number, inside=True)


def _whole_lines(log: LogReader, place: Place, end: int) -> Iterator[Searched]:
    """Yield each line that begins before `end`, with its text up to there."""
    pieces = takewhile(lambda line: line.offset < end, log.lines(place.offset, number=place.number))
    row: Row | None = None
    texts: list[bytes] = []
    for piece in pieces:
        if row is not None and row.goes_on_with(piece):
            row = row.with_more(piece)
        else:
            if row is not None:
                yield Searched(row, without_escapes(b"".join(texts)))
            row, texts = Row.of(piece), []
        texts.append(piece.text if piece.end <= end else piece.text[: end - piece.offset])
    if row is not None:
        yield Searched(row, without_escapes(b"".join(texts)))
