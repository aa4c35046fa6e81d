"""What was read of a container's output so far, and what of the engine's own copy is new to us."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from app.domain.output import Seen, Stream
from app.engines.base import Chunk
from app.engines.docker.calls import Connection
from app.engines.docker.frames import Entry
from app.engines.docker.request import LOG_WINDOW_BYTES

_ENTRY_OVERHEAD_BYTES = 160  # of the engine's log files: lengths, time, stream, the note that a line goes on


@dataclass
class Received:
    """How much of each stream we hold, from the first byte on."""

    sizes: Counter[Stream] = field(default_factory=Counter)
    lines: int = 0
    last_at: datetime | None = None

    @classmethod
    def before(cls, seen: Seen) -> Received:
        """What another process received and stored."""
        sizes = Counter({Stream.STDOUT: seen.stdout_bytes, Stream.STDERR: seen.stderr_bytes})
        return cls(sizes, seen.lines, seen.at)

    def add(self, at: datetime, stream: Stream, data: bytes) -> Chunk:
        self.sizes[stream] += len(data)
        self.lines += data.count(b"\n")
        self.last_at = at
        return Chunk(at, stream, data)

    @property
    def may_have_rotated(self) -> bool:
        """Whether the engine may have dropped the beginning of its copy, so that counting bytes from there
        misleads."""
        written = self.sizes.total()
        entries = self.lines + written // (16 * 1024) + 1
        return written + entries * _ENTRY_OVERHEAD_BYTES >= LOG_WINDOW_BYTES


@dataclass
class Attached:
    """The output of a container we started, attached before it started."""

    connection: Connection
    received: Received = field(default_factory=Received)


@dataclass
class Broken:
    """An attached output whose connection broke while the engine was away, at `at`."""

    received: Received
    at: datetime


class Sieve(Protocol):
    """Lets through what is new of the engine's copy, read from its beginning."""

    def fresh(self, entry: Entry) -> bytes: ...


class BeyondCount:
    """Exact: the first so many bytes of each stream are ours already. Only while nothing has rotated away."""

    def __init__(self, received: Received) -> None:
        self._known = Counter(received.sizes)

    def fresh(self, entry: Entry) -> bytes:
        known = min(self._known[entry.stream], len(entry.data))
        self._known[entry.stream] -= known
        return entry.data[known:]


class AfterTime:
    """By the engine's own times. `gap` tells whether the first entry of its copy is later already."""

    def __init__(self, after: datetime) -> None:
        self._after = after.strftime("%Y-%m-%dT%H:%M:%S.%f") + "999Z"
        self._looked = False
        self.gap = False

    def fresh(self, entry: Entry) -> bytes:
        is_new = entry.stamp > self._after
        if not self._looked:
            self._looked, self.gap = True, is_new
        return entry.data if is_new else b""
