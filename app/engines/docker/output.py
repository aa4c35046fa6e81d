"""What was read of a container's output so far, and what of the engine's own copy is new to us."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from app.domain.output import Seen, Stream
from app.engines.base import Chunk
from app.engines.docker.calls import Connection
from app.engines.docker.frames import Entry
from app.engines.docker.request import LOG_WINDOW_BYTES

_STAMPED_LATE = timedelta(milliseconds=50)  # an entry may get its time after we got its bytes
_ENTRY_OVERHEAD_BYTES = 160  # of the engine's log files: lengths, time, stream, the note that a line goes on


@dataclass
class Received:
    """How much of each stream was received, from the first byte on. `lines` are counted while the count matters."""

    sizes: Counter[Stream] = field(default_factory=Counter)
    lines: int = 0
    last_at: datetime | None = None
    last_at_of: dict[Stream, datetime] = field(default_factory=dict)

    @classmethod
    def before(cls, seen: Seen) -> Received:
        """Return what another process received and stored."""
        sizes = Counter({Stream.STDOUT: seen.stdout_bytes, Stream.STDERR: seen.stderr_bytes})
        return cls(sizes, seen.lines, seen.at, dict(seen.at_of))

    def add(self, at: datetime, stream: Stream, data: bytes) -> Chunk:
        if not self.may_have_rotated:
            self.lines += data.count(b"\n")
        self.sizes[stream] += len(data)
        self.last_at = self.last_at_of[stream] = at
        return Chunk(at, stream, data)

    @property
    def may_have_rotated(self) -> bool:
        """Return whether the engine may have dropped the beginning of its copy, so that counting bytes from there
        misleads.
        """
        written = self.sizes.total()
        entries = self.lines + written // (16 * 1024) + 1
        return written + entries * _ENTRY_OVERHEAD_BYTES >= LOG_WINDOW_BYTES


@dataclass
class Attached:
    """The output of a container that this process started and had attached before."""

    connection: Connection
    received: Received = field(default_factory=Received)


@dataclass
class Broken:
    """An attached output whose connection broke while the engine was away, at `at`."""

    received: Received
    at: datetime


class Sieve(Protocol):
    """Lets through what is new in the engine's copy, which is read from its beginning."""

    def fresh(self, entry: Entry) -> bytes: ...


class BeyondCount:
    """Drops as many bytes of each stream as were received already. It is exact while nothing has rotated away."""

    def __init__(self, received: Received) -> None:
        self._known = Counter(received.sizes)

    def fresh(self, entry: Entry) -> bytes:
        known = min(self._known[entry.stream], len(entry.data))
        self._known[entry.stream] -= known
        return entry.data[known:]


class AfterTime:
    """Drops what is not later, by the engine's own times. `gap` is whether even the first entry of its copy is
    later.
    """

    def __init__(self, last_at: datetime, last_at_of: Mapping[Stream, datetime] | None = None) -> None:
        self._last = _stamp(last_at)
        self._last_of = {
            stream: _stamp(min(last_at, at + _STAMPED_LATE)) for stream, at in (last_at_of or {}).items()
        }
        self._looked = False
        self.gap = False

    def fresh(self, entry: Entry) -> bytes:
        if not self._looked:
            self._looked, self.gap = True, entry.stamp > self._last
        return entry.data if entry.stamp > self._last_of.get(entry.stream, self._last) else b""


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "999Z"
