"""The engine's multiplexed streams: frames of an 8-byte header (stream, three zeros, big-endian length) and a
payload.

Pure: bytes in, pieces out, wherever the bytes are cut.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from app.domain.output import Stream

HEADER = struct.Struct(">BxxxL")
_OUTPUTS = {1: Stream.STDOUT, 2: Stream.STDERR}


class BrokenFrame(ValueError):
    """What was received is no frame: the stream is of no use any more."""


class Demultiplexer:
    """Turns received bytes into whole frames; the beginning of a frame waits for the next call."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def is_between_frames(self) -> bool:
        return not self._rest

    def feed(self, data: bytes) -> Iterator[tuple[Stream, bytes]]:
        """Return the frames that are whole now. Raises BrokenFrame."""
        buffer = self._rest + data if self._rest else data
        size, at = len(buffer), 0
        while size - at >= HEADER.size:
            number, length = HEADER.unpack_from(buffer, at)
            if number not in _OUTPUTS:
                raise BrokenFrame(f"The engine sent a frame of unknown stream {number}.")
            end = at + HEADER.size + length
            if end > size:
                break
            yield _OUTPUTS[number], buffer[at + HEADER.size : end]
            at = end
        self._rest = buffer[at:]


def merged(pieces: Iterator[tuple[Stream, bytes]]) -> Iterator[tuple[Stream, bytes]]:
    """Join neighbours of the same stream to one piece: a flood of short writes becomes few large chunks."""
    current: Stream | None = None
    parts: list[bytes] = []
    for stream, data in pieces:
        if stream is not current:
            if current is not None:
                yield current, b"".join(parts)
            current, parts = stream, []
        parts.append(data)
    if current is not None:
        yield current, b"".join(parts)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the engine's own log: at most 16 KiB of a line.

    `stamp` is RFC 3339 in UTC with nanoseconds, always of the same width, so that stamps sort as text.
    """

    stamp: str
    stream: Stream
    data: bytes

    @property
    def at(self) -> datetime:
        return parse_time(self.stamp)


def parse_entry(stream: Stream, payload: bytes) -> Entry:
    """Parse a frame's payload of a log that was read with timestamps. Raises BrokenFrame."""
    stamp, space, data = payload.partition(b" ")
    if not space:
        raise BrokenFrame("The engine sent a log entry without a time.")
    return Entry(stamp.decode("ascii", "replace"), stream, data)


def parse_time(text: str) -> datetime:
    """Parse the engine's RFC 3339 in UTC, cut to microseconds. Raises ValueError."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00")
