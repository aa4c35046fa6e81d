"""A log line by line, as a page shows it: of a line of any length a bounded part, and where the rest is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from typing import Final

from app.domain.output import Stream
from app.logs.reader import Line, LogReader

LONGEST: Final = 4 * 1024  # bytes of one line; the log itself has all of it


@dataclass(frozen=True, slots=True)
class Row:
    """A line as far as it is written, with at most `LONGEST` bytes of it in `text`.

    `text` is the beginning of the line; or of what it shows since its last carriage return, if it is longer than that.
    What follows `text` begins at `rest_at`. `offset`, `end`, `number` and `complete` are as of a `Line`.
    """

    number: int
    offset: int
    end: int
    at: datetime | None
    stream: Stream
    instance: int
    text: bytes
    rest_at: int
    complete: bool
    ends_in_return: bool

    @classmethod
    def of(cls, line: Line) -> Row:
        text, rest_at = _shown(line.text, line.offset)
        return cls(
            number=line.number,
            offset=line.offset,
            end=line.end,
            at=line.at,
            stream=line.stream,
            instance=line.instance,
            text=text,
            rest_at=rest_at,
            complete=line.complete,
            ends_in_return=line.text.endswith(b"\r"),
        )

    @property
    def rest(self) -> int:
        """The number of bytes of the line that follow `text`."""
        return max(self.end - self.complete - self.rest_at, 0)

    def goes_on_with(self, piece: Line) -> bool:
        """Return whether `piece` belongs to the same line."""
        if self.complete or piece.number != self.number or piece.offset != self.end:
            return False
        is_same_source = (piece.stream, piece.instance) == (self.stream, self.instance)
        return is_same_source or _only_ends_a_line(piece)

    def with_more(self, piece: Line) -> Row:
        if not self.rest:
            text, rest_at = _shown(self.text + piece.text, self.rest_at - len(self.text))
        else:
            anew = _last_state(b"\r" * self.ends_in_return + piece.text) - self.ends_in_return
            text, rest_at = self.text, self.rest_at
            if anew >= 0:
                text, rest_at = _shown(piece.text[anew:], piece.offset + anew)
        return replace(
            self,
            text=text,
            rest_at=rest_at,
            end=piece.end,
            complete=piece.complete,
            ends_in_return=piece.text.endswith(b"\r"),
        )


def rows(pieces: Iterable[Line], begun: Row | None = None) -> Iterator[Row]:
    """Yield each line once, made of its pieces; `begun` is a row that ends where the pieces begin."""
    row = begun
    for piece in pieces:
        if row is not None and row.goes_on_with(piece):
            row = row.with_more(piece)
        else:
            if row is not None:
                yield row
            row = Row.of(piece)
        if row.complete:
            yield row
            row = None
    if row is not None:
        yield row


def rows_from(log: LogReader, offset: int) -> Iterator[Row]:
    return rows(log.lines(offset, number=log.number_at(offset)))


def rows_before(log: LogReader, offset: int, count: int) -> list[Row]:
    """Return the last `count` of the rows that begin before `offset`."""
    found = rows_from(log, log.start_before(offset, count))
    return list(deque(takewhile(lambda row: row.offset < offset, found), count))


def _only_ends_a_line(piece: Line) -> bool:
    """Return whether the piece is no more than the line break that ends a line for another source's sake."""
    return piece.stream is Stream.SYSTEM and piece.complete and not piece.text


def _last_state(text: bytes) -> int:
    """Return where in `text` begins what a terminal would show: after the last carriage return that something
    follows.

    It is -1 where there is none.
    """
    return text.rstrip(b"\r").rfind(b"\r") + 1 or -1


def _shown(text: bytes, at: int) -> tuple[bytes, int]:
    """Return what a row shows of `text`, which begins at offset `at`, and the offset after that."""
    start = max(_last_state(text), 0) if len(text) > LONGEST else 0
    part = text[start : start + LONGEST]
    return part, at + start + len(part)
