"""Whole lines of several sources, one after the other, in the order in which they came.

The line at the end of a log belongs to one source. What it says goes on that line at once; what others say waits until
the line is over, or for a short while: a progress bar or a prompt must not hold up everything else. Nothing here is
lost or changed: what comes out of each source is what went in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

PATIENCE_SECONDS: Final = 0.75
_MOST_WAITING: Final = 256 * 1024  # bytes of one source; with more than that, nobody is waited for

Source = tuple[int, int]  # stream, instance


class Output(NamedTuple):
    """What a source said at once, `micros` after the epoch."""

    micros: int
    data: bytes


class LineSink(Protocol):
    """The file that lines are appended to. `open_source` is whose line the last one is, None if that is over."""

    @property
    def open_source(self) -> Source | None: ...

    def put(self, source: Source, output: Output) -> None:
        """Append the output. The line may be over even if they end without a line break: some may be held back."""

    def break_line(self, micros: int) -> None:
        """End the line of the source that has it."""


@dataclass
class _Waiting:
    """Output of a source that isn't written yet; it has waited since `since`, in seconds of the clock."""

    since: float
    output: list[Output] = field(default_factory=list)
    size: int = 0

    def add(self, output: Output) -> None:
        self.output.append(output)
        self.size += len(output.data)


class LineOrder:
    """Puts the output of several sources into whole lines, one after the other.

    `now` returns seconds of any clock that never goes back. Not safe to use from several threads.
    """

    def __init__(self, sink: LineSink, patience_seconds: float, now: float) -> None:
        self._sink = sink
        self._patience = patience_seconds
        self._waiting: dict[Source, _Waiting] = {}  # in order of arrival
        self._touched = now  # when the line at the end was last written to
        self.due_at: float | None = None  # when those who wait are let in, whatever becomes of the line

    def say(self, source: Source, output: Output, now: float) -> None:
        owner = self._sink.open_source
        if not self._waiting and (owner is None or owner == source):
            self._sink.put(source, output)
            self._touched = now
        elif owner == source:
            self._go_on(source, output, now)
        else:
            self._wait(source, [output], now)
            self._let_in(now)

    def let_in(self, now: float) -> None:
        """Let those write who have waited long enough for the line to end."""
        if self._waiting:
            self._let_in(now)

    def finish(self) -> None:
        """Write everything that waits: nothing more will come."""
        for source in list(self._waiting):
            self._put(source, self._waiting.pop(source).output)
        self.due_at = None

    def _go_on(self, source: Source, output: Output, now: float) -> None:
        """Write what the owner of the line says while others wait, up to its line break; then they come."""
        end = output.data.rfind(b"\n") + 1
        self._touched = now
        if not end:
            self._sink.put(source, output)
        else:
            self._sink.put(source, Output(output.micros, output.data[:end]))
            if end < len(output.data):
                self._wait(source, [Output(output.micros, output.data[end:])], now)
        self._let_in(now)

    def _wait(self, source: Source, output: Sequence[Output], now: float) -> None:
        waiting = self._waiting.get(source)
        if waiting is None:
            waiting = self._waiting[source] = _Waiting(now)
        for each in output:
            waiting.add(each)

    def _let_in(self, now: float) -> None:
        if self._sink.open_source is not None:
            if self.due_at is None:
                self.due_at = max(now, self._touched + self._patience)
            if now < self.due_at and all(each.size < _MOST_WAITING for each in self._waiting.values()):
                return
        for source in list(self._waiting):
            self._put_lines(source, now)
        self.due_at = None
        for source, waiting in list(self._waiting.items()):
            if self._sink.open_source is None or now - waiting.since >= self._patience:
                self._put(source, self._waiting.pop(source).output)
                self._touched = now
        if self._waiting:
            self.due_at = now + self._patience

    def _put_lines(self, source: Source, now: float) -> None:
        """Write up to the last line break; the rest begins to wait now."""
        output = self._waiting[source].output
        last = next((n for n in reversed(range(len(output))) if b"\n" in output[n].data), None)
        if last is None:
            return
        micros, data = output[last]
        end = data.rfind(b"\n") + 1
        rest = [Output(micros, data[end:])] if end < len(data) else []
        self._put(source, [*output[:last], Output(micros, data[:end])])
        del self._waiting[source]
        if rest or output[last + 1 :]:
            self._wait(source, [*rest, *output[last + 1 :]], now)

    def _put(self, source: Source, output: Sequence[Output]) -> None:
        if self._sink.open_source not in (None, source):
            self._sink.break_line(output[0].micros)
        for each in output:
            self._sink.put(source, each)
