"""What containers say, as engines hand it out and logs keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum


class Stream(IntEnum):
    """The origin of a byte of a log. The numbers are stored."""

    SYSTEM = 0  # Jobyard itself, e.g. that output may be missing here
    STDOUT = 1
    STDERR = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """What is held of one container's output: when its last byte came, and how much there is from the first on.

    `lines` counts the line breaks; engines judge by it whether their own copy still begins at the beginning. `at_of`
    says when the last byte of each stream came, where that is known: a stream may have been held longer than another.
    """

    at: datetime
    stdout_bytes: int
    stderr_bytes: int
    lines: int
    at_of: Mapping[Stream, datetime] = field(default_factory=dict)


class Unseen:
    """Lets through what lies beyond the bytes of each stream that are held already."""

    def __init__(self, seen: Seen | None) -> None:
        self._held = {Stream.STDOUT: seen.stdout_bytes, Stream.STDERR: seen.stderr_bytes} if seen else {}

    def of(self, stream: Stream, data: bytes) -> bytes:
        held = min(self._held.get(stream, 0), len(data))
        if not held:
            return data
        self._held[stream] -= held
        return data[held:]
