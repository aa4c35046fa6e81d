"""The one writer of a log: raw chunks in, redacted bytes on disk at once."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from app.domain.output import Seen, Stream
from app.domain.redaction import RedactionStream, Redactor
from app.logs.layout import (
    POSITION,
    RECORD,
    Part,
    decode_records,
    parts,
    positions_path,
    tail_directory,
    tail_part,
)
from app.logs.lines import PATIENCE_SECONDS, LineOrder, Output, Source

DEFAULT_CAP: Final = 100 * 1024 * 1024
_TAIL_PARTS: Final = 8
_INDEX_SHARE: Final = 4  # an index may take a quarter of the room of its data, however small the chunks
_SAME_MOMENT: Final = 10_000  # microseconds; chunks of one source this close share a record
_MICROSECOND: Final = timedelta(microseconds=1)
_NEWLINE: Final = 0x0A
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class LogWriter:
    """Appends to the log at `path` (`….log`); safe to call from several threads; one writer per log.

    Lines of several sources come whole, one after the other, as `LineOrder` says: what waits there for another's line,
    and what redaction holds back (a suffix that may be the beginning of a secret, never more than the unfinished last
    line), is on disk later than `write` returns, everything else before (not necessarily synced). A line that had to be
    ended for another's sake ends with a line break of ours. Opening an existing log continues where all that is stored
    is accounted for, so that what a container says again from `seen` on follows to the byte. Half of `cap_bytes`
    keeps the first part of the log, the other half a ring of parts with the last; index files take at most a
    quarter more. Raises `OSError` when the disk does, and from then on: `abandon` it, and open another one.
    """

    def __init__(
        self,
        path: Path,
        *,
        redactor: Redactor | None = None,
        cap_bytes: int = DEFAULT_CAP,
        on_append: Callable[[], None] | None = None,
        on_close: Callable[[], None] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._path = path
        self._redactor = None if redactor is None or redactor.is_empty else redactor
        self._head_bytes = max(cap_bytes // 2, 1)
        self._part_bytes = max(cap_bytes // 2 // _TAIL_PARTS, 1)
        self._on_append = on_append
        self._on_close = on_close
        self._lock = threading.Lock()
        self._lines = LineOrder(self, patience_seconds, time.monotonic())
        self._closing = threading.Event()
        self._is_awaited = False  # whether a thread lets those in who wait for a line to be over
        self._failure: OSError | None = None  # the first one: what is in memory and on disk are at odds since
        self._masks: dict[Source, RedactionStream] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._data = self._index = -1
        self._positions = os.open(positions_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            self._consumed = self._drop_unaccounted()
            self._fed = dict(self._consumed)
            self._said = dict(self._consumed)
            self._said_at: dict[Source, int] = {}
            self._last_source, self._last_micros = (-1, -1), 0
            self._open(parts(path)[-1])
            self.open_source = self._source_at_end()
        except OSError:
            self.abandon()
            raise

    @property
    def size(self) -> int:
        """The offset of the next byte."""
        return self._offset

    def seen(self, instance: int) -> Seen | None:
        """Return how much of that container's output is held, also from a writer before this one; None if nothing."""
        sources = [(stream, instance) for stream in (Stream.STDOUT, Stream.STDERR)]
        with self._lock:
            stdout, stderr = (self._said.get(source, 0) for source in sources)
            if not stdout + stderr:
                return None
            times = self._stored_times() | self._said_at
        of_each = {source[0]: _EPOCH + times.get(source, 0) * _MICROSECOND for source in sources}
        lines = sum(part.data.read_bytes().count(b"\n") for part in parts(self._path))
        return Seen(max(of_each.values()), stdout, stderr, lines, of_each)

    def _stored_times(self) -> dict[Source, int]:
        """Return when each source last wrote, as far as the last two parts know."""
        raw = b"".join(part.index.read_bytes() for part in parts(self._path)[-2:])
        return {record.source: record.micros for record in decode_records(raw)}

    def write(self, at: datetime, stream: int, data: bytes, instance: int = 0) -> None:
        """Append what `stream` of container number `instance` said at `at` (aware)."""
        source = (Stream(stream), instance)
        with self._lock:
            self._check()
            before, micros = self._offset, (at - _EPOCH) // _MICROSECOND
            self._said[source] = self._said.get(source, 0) + len(data)
            self._said_at[source] = micros
            with self._failing():
                self._lines.say(source, Output(micros, data), time.monotonic())
            if self._lines.due_at is not None and not self._is_awaited:
                self._is_awaited = True
                threading.Thread(target=self._let_in, name="log-lines", daemon=True).start()
            has_grown = self._offset != before
        self._wake(has_grown)

    def put(self, source: Source, output: Output) -> None:
        """Append what redaction lets through; `LineOrder` calls it with the lock held."""
        data = output.data
        fed = self._fed[source] = self._fed.get(source, 0) + len(data)
        if self._redactor is not None:
            mask = self._masks.get(source)
            if mask is None:
                mask = self._masks[source] = self._redactor.start()
            data = mask.feed(data)
            fed -= mask.undecided
        self._append(output.micros, source, data)
        self._save_position(source, fed)

    def break_line(self, micros: int) -> None:
        """End the line; `LineOrder` calls it with the lock held."""
        self._append_ours(micros, b"\n")

    def note(self, at: datetime, text: str) -> None:
        """Append a line of Jobyard's own, on a line of its own."""
        line = text.encode() + b"\n"
        if self._redactor is not None:
            line = self._redactor.mask(line)
        with self._lock, self._failing():
            self._check()
            if self.open_source is not None:
                line = b"\n" + line
            self._append_ours((at - _EPOCH) // _MICROSECOND, line)
            self._lines.let_in(time.monotonic())
        self._wake(has_grown=True)

    def end_streams(self) -> None:
        """Write what waits, and release what redaction still holds back: the containers have said all they will."""
        with self._lock, self._failing():
            self._check()
            before = self._offset
            self._lines.finish()
            for source, mask in self._masks.items():
                if rest := mask.finish():
                    if self.open_source not in (None, source):
                        self.break_line(self._said_at[source])
                    self._append(self._said_at[source], source, rest)
                self._save_position(source, self._fed[source])
            self._masks.clear()
            has_grown = self._offset != before
        self._wake(has_grown)

    def flush(self) -> None:
        """Return when everything appended so far would survive a power cut."""
        with self._lock:
            os.fdatasync(self._data)
            os.fdatasync(self._index)

    def close(self) -> None:
        """End the streams and let go of the files. Closing twice is fine."""
        if self._positions < 0:
            return
        try:
            self.end_streams()
        finally:
            self.abandon()
        if self._on_close is not None:
            self._on_close()

    def abandon(self) -> None:
        """Let go of the files as they are; whoever opens the log goes on from the last stored positions."""
        with self._lock:
            self._failure = self._failure or OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._close_part()
            if self._positions >= 0:
                os.close(self._positions)
                self._positions = -1
        self._closing.set()

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wake(self, has_grown: bool) -> None:
        if has_grown and self._on_append is not None:
            self._on_append()

    def _let_in(self) -> None:
        """Let waiting sources in, in a thread of its own, as long as any waits for a line to be over."""
        while not self._closing.is_set():
            with self._lock:
                due_at, now = self._lines.due_at, time.monotonic()
                if due_at is None or self._data < 0:
                    self._is_awaited = False
                    return
                before = self._offset
                if due_at <= now and not self._let_in_now(now):
                    return
                has_grown = self._offset != before
            self._wake(has_grown)
            self._closing.wait(max(due_at - now, 0))

    def _let_in_now(self, now: float) -> bool:
        try:
            self._lines.let_in(now)
        except OSError as error:
            self._failure = error  # for the next one who writes
            return False
        return True

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._failure = self._failure or error
            raise

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _append_ours(self, micros: int, data: bytes) -> None:
        self._append(micros, (Stream.SYSTEM, 0), data)
        self._save_position((Stream.SYSTEM, 0), 0)

    def _save_position(self, source: Source, consumed: int) -> None:
        self._consumed[source] = consumed
        stream, instance = source
        os.pwrite(
            self._positions, POSITION.pack(self._offset, consumed), (instance * 3 + stream) * POSITION.size
        )

    def _drop_unaccounted(self) -> dict[Source, int]:
        """Cut off what was written without its position, as its bytes will be sent again; return the positions by
        source.
        """
        raw = os.pread(self._positions, os.fstat(self._positions).st_size, 0)
        slots = list(POSITION.iter_unpack(raw[: len(raw) - len(raw) % POSITION.size]))
        end = max((offset for offset, _ in slots), default=0)
        for part in reversed(parts(self._path)):
            if part.start >= end and part.start:
                part.index.unlink(missing_ok=True)
                part.data.unlink(missing_ok=True)
            else:
                if part.data.exists() and part.start + part.data.stat().st_size > end:
                    os.truncate(part.data, end - part.start)
                break
        return {(slot % 3, slot // 3): consumed for slot, (_, consumed) in enumerate(slots) if consumed}

    def _append(self, micros: int, source: Source, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            room = self._room()
            if room <= 0:
                self._next_part()
                continue
            # The record goes first: after a crash it points at the end at worst, and is dropped on reopening.
            if source != self._last_source or micros - self._last_micros >= _SAME_MOMENT:
                os.write(self._index, RECORD.pack(self._offset, micros, *source))
                self._index_size += RECORD.size
                self._last_source, self._last_micros = source, micros
            written = os.write(self._data, rest[:room])
            self._offset += written
            self.open_source = None if rest[written - 1] == _NEWLINE else source
            rest = rest[written:]

    def _room(self) -> int:
        limit = self._part_bytes if self._part.start else self._head_bytes
        if self._index_size >= max(limit // _INDEX_SHARE, RECORD.size):
            return 0
        return self._part.start + limit - self._offset

    def _next_part(self) -> None:
        self._close_part()
        tail_directory(self._path).mkdir(exist_ok=True)
        self._open(tail_part(self._path, self._offset))
        tail = parts(self._path)[1:]
        for old in tail[:-_TAIL_PARTS]:
            old.index.unlink(missing_ok=True)
            old.data.unlink(missing_ok=True)

    def _open(self, part: Part) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._part = part
        self._data = os.open(part.data, flags, 0o640)
        self._index = os.open(part.index, flags, 0o640)
        self._offset = part.start + os.fstat(self._data).st_size
        self._index_size = self._repair_index()
        self._last_source, self._last_micros = (-1, -1), 0

    def _repair_index(self) -> int:
        """Cut off a torn record and those whose bytes never reached the disk; return the size that is left."""
        raw = self._part.index.read_bytes()
        sound = sum(1 for record in decode_records(raw) if record.offset < self._offset) * RECORD.size
        if sound != len(raw):
            os.ftruncate(self._index, sound)
        return sound

    def _source_at_end(self) -> Source | None:
        """Return whose line the last one of the open part is, None if that is over."""
        end = self._offset - self._part.start
        if end == 0 or os.pread(self._data, 1, end - 1) == b"\n":
            return None
        records = list(decode_records(self._part.index.read_bytes()))
        return records[-1].source if records else (Stream.SYSTEM, 0)

    def _close_part(self) -> None:
        for file in (self._data, self._index):
            if file >= 0:
                os.close(file)
        self._data = self._index = -1
