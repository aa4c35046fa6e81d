"""The one writer of a log: raw chunks in, redacted bytes on disk at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
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

DEFAULT_CAP: Final = 100 * 1024 * 1024
_TAIL_PARTS: Final = 8
_INDEX_SHARE: Final = 4  # an index may take a quarter of the room of its data, however small the chunks
_SAME_MOMENT: Final = 10_000  # microseconds; chunks of one source this close share a record
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class LogWriter:
    """Appends to the log at `path` (`….log`); safe to call from several threads; one writer per log.

    Bytes are on disk (not necessarily synced) when `write` returns, except what redaction holds back: a
    suffix that may be the beginning of a secret, never more than the unfinished last line. Opening an
    existing log continues where all that is stored is accounted for, so that what a container says again from
    `seen` on follows to the byte. Half of `cap_bytes`
    keeps the first part of the log, the other half a ring of parts with the last; index files take at most a
    quarter more. Raises `OSError` when the disk does.
    """

    def __init__(
        self,
        path: Path,
        *,
        redactor: Redactor | None = None,
        cap_bytes: int = DEFAULT_CAP,
        on_append: Callable[[], None] | None = None,
    ) -> None:
        self._path = path
        self._redactor = redactor
        self._head_bytes = max(cap_bytes // 2, 1)
        self._part_bytes = max(cap_bytes // 2 // _TAIL_PARTS, 1)
        self._on_append = on_append
        self._lock = threading.Lock()
        self._masks: dict[tuple[int, int], RedactionStream] = {}
        self._last_seen: dict[tuple[int, int], int] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._positions = os.open(positions_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._consumed = self._drop_unaccounted()
        self._fed = dict(self._consumed)
        self._last_source, self._last_micros = (-1, -1), 0
        self._open(parts(path)[-1])
        self._at_line_start = self._ends_with_newline()

    @property
    def size(self) -> int:
        """The offset of the next byte."""
        return self._offset

    def seen(self, instance: int) -> Seen | None:
        """What is stored of that container's output, also by a writer before this one; None if nothing."""
        sizes = {
            stream: self._consumed.get((stream, instance), 0) for stream in (Stream.STDOUT, Stream.STDERR)
        }
        if not any(sizes.values()):
            return None
        with self._lock:
            raw = b"".join(part.index.read_bytes() for part in parts(self._path)[-2:])
        of_instance = [
            record.micros
            for record in decode_records(raw)
            if record.instance == instance and record.stream != Stream.SYSTEM
        ]
        at = _EPOCH + max(of_instance, default=0) * _MICROSECOND
        lines = sum(part.data.read_bytes().count(b"\n") for part in parts(self._path))
        return Seen(at, sizes[Stream.STDOUT], sizes[Stream.STDERR], lines)

    def write(self, at: datetime, stream: int, data: bytes, instance: int = 0) -> None:
        """Append what `stream` of container number `instance` said at `at` (aware)."""
        source = (Stream(stream), instance)
        with self._lock:
            micros = self._last_seen[source] = (at - _EPOCH) // _MICROSECOND
            if self._redactor is not None:
                mask = self._masks.get(source)
                if mask is None:
                    mask = self._masks[source] = self._redactor.start()
                self._fed[source] = self._fed.get(source, 0) + len(data)
                data = mask.feed(data)
                consumed = self._fed[source] - mask.undecided
            else:
                consumed = self._fed[source] = self._fed.get(source, 0) + len(data)
            self._append(micros, source, data)
            self._save_position(source, consumed)
        self._wake(data)

    def note(self, at: datetime, text: str) -> None:
        """Append a line of our own, on a line of its own."""
        line = text.encode() + b"\n"
        if self._redactor is not None:
            line = self._redactor.mask(line)
        with self._lock:
            if not self._at_line_start:
                line = b"\n" + line
            self._append((at - _EPOCH) // _MICROSECOND, (Stream.SYSTEM, 0), line)
            self._save_position((Stream.SYSTEM, 0), 0)
        self._wake(line)

    def end_streams(self) -> None:
        """The containers have said all they will: release what redaction still holds back."""
        with self._lock:
            rest = [(source, mask.finish()) for source, mask in self._masks.items()]
            self._masks.clear()
            for source, data in rest:
                self._append(self._last_seen[source], source, data)
                self._save_position(source, self._fed[source])
        self._wake(b"".join(data for _, data in rest))

    def flush(self) -> None:
        """Return when everything appended so far would survive a power cut."""
        with self._lock:
            os.fdatasync(self._data)
            os.fdatasync(self._index)

    def close(self) -> None:
        """End the streams and let go of the files. Closing twice is fine."""
        if self._data < 0:
            return
        self.end_streams()
        with self._lock:
            self._close_part()
            os.close(self._positions)

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wake(self, data: bytes) -> None:
        if data and self._on_append is not None:
            self._on_append()

    def _save_position(self, source: tuple[int, int], consumed: int) -> None:
        self._consumed[source] = consumed
        stream, instance = source
        os.pwrite(
            self._positions, POSITION.pack(self._offset, consumed), (instance * 3 + stream) * POSITION.size
        )

    def _drop_unaccounted(self) -> dict[tuple[int, int], int]:
        """Cut off what was written without its position: its bytes will be said again. The positions by source."""
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

    def _append(self, micros: int, source: tuple[int, int], data: bytes) -> None:
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
            self._at_line_start = rest[written - 1] == 0x0A
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
        """Cut off a torn record and those whose bytes never reached the disk; the size that is left."""
        raw = self._part.index.read_bytes()
        sound = sum(1 for record in decode_records(raw) if record.offset < self._offset) * RECORD.size
        if sound != len(raw):
            os.ftruncate(self._index, sound)
        return sound

    def _ends_with_newline(self) -> bool:
        end = self._offset - self._part.start
        return end == 0 or os.pread(self._data, 1, end - 1) == b"\n"

    def _close_part(self) -> None:
        os.close(self._data)
        os.close(self._index)
        self._data = self._index = -1
