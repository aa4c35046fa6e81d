"""Of a log, what one instance or one stream said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.domain.output import Stream
from app.logs.layout import Record
from app.logs.reader import BLOCK, Line, LogReader, Piece


@dataclass(frozen=True, slots=True)
class Selection:
    """Which output is wanted; None means any. Jobyard's own lines belong to no instance and no stream."""

    instance: int | None = None
    stream: Stream | None = None

    @property
    def is_all(self) -> bool:
        return self.instance is None and self.stream is None

    def has(self, stream: int, instance: int) -> bool:
        if self.is_all:
            return True
        is_wanted = self.instance in (None, instance) and self.stream in (None, stream)
        return is_wanted and stream != Stream.SYSTEM


class SelectedLog:
    """A log without the output that is not wanted: it has the same offsets and fewer bytes."""

    def __init__(self, log: LogReader, selection: Selection) -> None:
        self._log = log
        self._selection = selection

    @property
    def size(self) -> int:
        return self._log.size

    def read(self, offset: int, limit: int = BLOCK) -> Piece:
        """Read as `LogReader.read` does; but a piece may be empty, and more come after it, as long as `next_offset`
        moves on.
        """
        piece = self._log.read(offset, limit)
        if self._selection.is_all or piece.dropped or not piece.data:
            return piece
        end = offset + len(piece.data)
        wanted, after = [], end
        for record, following in pairwise([*self._log.records(offset, end), Record(end, 0, 0, 0)]):
            if self._selection.has(record.stream, record.instance):
                wanted.append(piece.data[max(record.offset - offset, 0) : following.offset - offset])
                after = following.offset
        return Piece(b"".join(wanted), after)

    def lines(self, offset: int, end: int) -> Iterator[Line]:
        """Yield the lines that begin before `end`, up to which the log is known to be written."""
        for line in self._log.lines(offset, number=self._log.number_at(offset)):
            if line.offset >= end:
                return
            if self._selection.has(line.stream, line.instance):
                yield line


class RunLog:
    """The logs of a run's attempts, in order, as one: with the offsets of their concatenation, and the rules of
    `SelectedLog`.
    """

    def __init__(self, logs: Sequence[LogReader], selection: Selection | None = None) -> None:
        self._logs = [SelectedLog(log, selection or Selection()) for log in logs]

    @property
    def size(self) -> int:
        return sum(log.size for log in self._logs)

    def read(self, offset: int, limit: int = BLOCK) -> Piece:
        """Read as `SelectedLog.read` does. `next_offset` is what `X-Log-Next-Offset` says."""
        base = 0
        for log in self._logs:
            size = log.size
            if offset < base + size:
                piece = log.read(offset - base, limit)
                return piece._replace(next_offset=base + piece.next_offset)
            base += size
        return Piece(b"", base)

    def pieces(self, offset: int = 0) -> Iterator[Piece]:
        """Yield all pieces from `offset` to the end as it is when reached."""
        while (piece := self.read(offset)).next_offset > offset:
            yield piece
            offset = piece.next_offset

    def lines(self, offset: int, end: int) -> Iterator[tuple[int, Line]]:
        """Yield each line with the offset at which its own log begins."""
        base = 0
        for log in self._logs:
            size = log.size
            if offset < base + size:
                for line in log.lines(max(offset - base, 0), min(end - base, size)):
                    yield base, line
            base += size
