"""A container's output: live from the connection made before its start, or from the engine's own copy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from app.domain.errors import EngineUnavailable
from app.domain.output import Seen, Stream
from app.engines.base import Chunk, Handle
from app.engines.docker.calls import Calls, Connection, Gone, Refusal
from app.engines.docker.frames import BrokenFrame, Demultiplexer, Entry, merged, parse_entry
from app.engines.docker.output import AfterTime, Attached, BeyondCount, Broken, Received, Sieve

# The engine's and our clock are usually the same one; the end of the output comes some 40 ms after the end
# itself.
CLOSING = "Jobyard is closing its connection to the engine; the container is left alone."
_CLOCK_SLACK = timedelta(milliseconds=5)
# A read that brings little is followed by a short wait, so that many short lines come in few pieces, which leaves the
# processor to the engine and the job. The engine holds about a megabyte meanwhile.
_LITTLE = 64 * 1024
_GATHERING_SECONDS = 0.002
_CUT_OFF_SECONDS, _REACHED_AGAIN_SECONDS = 5.0, 0.1  # a way through ssh is open again within a second or two


class Logs:
    """Reads the output of containers.

    `ended_at(id)` returns whether a container has ended and when (`Containers.ended_at`); it may take a second. By
    another clock (`has_same_clock`) that doesn't tell whether a connection lasted until then: so the engine's copy is
    asked for the rest in any case.
    """

    def __init__(
        self,
        calls: Calls,
        clock: Callable[[], datetime],
        ended_at: Callable[[str], tuple[bool, datetime | None]],
        *,
        has_same_clock: bool,
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._ended_at = ended_at
        self._has_same_clock = has_same_clock
        self._lock = threading.Lock()
        self._held: dict[str, Attached | Broken] = {}
        self._open: set[Connection] = set()
        self._closed = False

    def attach(self, container_id: str) -> None:
        """Hold the output of a container that is about to start. Raises Gone, EngineUnavailable."""
        connection = self._calls.stream(
            "POST", f"/containers/{container_id}/attach", stdout=1, stderr=1, stream=1
        )
        with self._lock:
            before = self._held.get(container_id)
            self._held[container_id] = Attached(connection)
        if isinstance(before, Attached):
            before.connection.close()

    def forget(self, container_id: str) -> None:
        with self._lock:
            held = self._held.pop(container_id, None)
        if isinstance(held, Attached):
            held.connection.close()

    def read(self, handle: Handle, seen: Seen | None) -> Iterator[Chunk]:
        with self._lock:
            held = self._held.pop(handle.id, None)
        if isinstance(held, Attached):
            yield from self._live(handle, held)
        elif held:
            yield self._note(held.at, self._clock())
            yield from self._beyond(handle, held.received)
        elif seen:
            yield from self._beyond(handle, Received.before(seen))
        else:
            yield from self._copied(handle, BeyondCount(Received()), Received())

    def close(self) -> None:
        with self._lock:
            self._closed = True
            held, self._held = self._held, {}
            reading = list(self._open)
        for output in held.values():
            if isinstance(output, Attached):
                output.connection.close()
        for connection in reading:
            connection.interrupt()

    def _live(self, handle: Handle, output: Attached) -> Iterator[Chunk]:
        received = output.received
        frames = Demultiplexer()
        with self._reading(output.connection) as connection:
            try:
                for data in _gathered(connection):
                    now = self._clock()
                    for stream, piece in merged(frames.feed(data)):
                        yield received.add(now, stream, piece)
                intact = frames.is_between_frames
            except (OSError, BrokenFrame):
                intact = False
        stopped_at = self._clock()
        self._check_open()
        try:
            ended, at = self._ended_once_reached(handle.id)
        except EngineUnavailable:
            # The engine went away, not only the connection: what the process wrote meanwhile may be nowhere.
            with self._lock:
                self._held[handle.id] = Broken(received, received.last_at or stopped_at)
            raise
        lasted = self._has_same_clock and (at is None or at <= stopped_at + _CLOCK_SLACK)
        whole = ended and intact and lasted
        if not whole:
            yield from self._beyond(handle, received)

    def _ended_once_reached(self, container_id: str) -> tuple[bool, datetime | None]:
        """An engine on another machine may be cut off for a moment, and go on itself."""
        deadline = time.monotonic() + (0 if self._has_same_clock else _CUT_OFF_SECONDS)
        while True:
            try:
                return self._ended_at(container_id)
            except EngineUnavailable as error:
                self._check_open()
                if isinstance(error, Refusal) or time.monotonic() > deadline:
                    raise
            time.sleep(_REACHED_AGAIN_SECONDS)

    def _beyond(self, handle: Handle, received: Received) -> Iterator[Chunk]:
        """Yield what the engine's copy has beyond what was received."""
        if received.may_have_rotated and received.last_at:
            yield from self._copied(handle, AfterTime(received.last_at, received.last_at_of), received)
        else:
            yield from self._copied(handle, BeyondCount(received), received)

    def _copied(self, handle: Handle, sieve: Sieve, received: Received) -> Iterator[Chunk]:
        while True:
            try:
                for entry in self._entries(handle):
                    before = received.last_at
                    fresh = sieve.fresh(entry)
                    if isinstance(sieve, AfterTime) and sieve.gap and before:
                        sieve.gap = False
                        yield self._note(before, entry.at)
                    if fresh:
                        yield received.add(entry.at, entry.stream, fresh)
            except Gone:
                return
            self._check_open()
            ended, _ = self._ended_at(handle.id)
            if ended:
                return
            sieve = (
                AfterTime(received.last_at, received.last_at_of)
                if received.last_at
                else BeyondCount(received)
            )

    def _entries(self, handle: Handle) -> Iterator[Entry]:
        path = f"/containers/{handle.id}/logs"
        answer = self._calls.stream("GET", path, stdout=1, stderr=1, follow=1, timestamps=1)
        frames = Demultiplexer()
        with self._reading(answer) as connection:
            try:
                for data in connection.chunks():
                    for stream, payload in frames.feed(data):
                        yield parse_entry(stream, payload)
            except (OSError, BrokenFrame) as error:
                raise EngineUnavailable(f"Reading the output of {handle.name} broke off: {error}") from error

    @contextmanager
    def _reading(self, connection: Connection) -> Iterator[Connection]:
        with self._lock:
            self._open.add(connection)
        try:
            yield connection
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineUnavailable(CLOSING)

    def _note(self, since: datetime, until: datetime) -> Chunk:
        text = f"Output between {since:%H:%M:%S.%f} and {until:%H:%M:%S.%f} UTC may be missing.\n"
        return Chunk(until, Stream.SYSTEM, text.encode())


def _gathered(connection: Connection) -> Iterator[bytes]:
    """Yield what is received as soon as it comes, to the end. Raises OSError."""
    while data := connection.receive():
        yield data
        if len(data) < _LITTLE:
            time.sleep(_GATHERING_SECONDS)
