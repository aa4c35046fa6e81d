"""A container's output as its node has it, by way of the manager.

A connection that follows it does not end with the process, and breaks whenever a node or a manager does. So it is one
of many: each goes on where the one before left off, and the last, which begins when the container has ended, reads what
is left.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from app.domain.errors import EngineUnavailable
from app.domain.output import Seen, Stream
from app.engines.base import Chunk, Handle
from app.engines.docker.calls import Calls, Connection, Gone
from app.engines.docker.frames import BrokenFrame, Demultiplexer, Entry, parse_entry
from app.engines.docker.output import AfterTime, BeyondCount, Received
from app.engines.swarm.tasks import Service, is_over, is_silent
from app.engines.swarm.watch import CLOSING, Watch

log = logging.getLogger(__name__)
_ANSWER_SECONDS = 10.0  # between two pieces of what a node has of a container that has ended
_AGAIN_SECONDS = 0.5
_LISTEN_SECONDS = 0.2
_AS_WRITTEN = {"stdout": 1, "stderr": 1, "timestamps": 1}
_TRIES = 10  # at the rest of an output, before whoever reads has to call again
_CUT_OFF = "Node {node} does not answer any more: what the process wrote there since may be missing."
_WAITS = (
    "Node {node} does not answer, and this job's runs may not overlap, so this run waits until the node is back. If it"
    " never will be, remove it from the Swarm: docker node rm --force {node}."
)
_STAMPED_EARLIER = timedelta(seconds=1)  # more than two streams of one container are apart in a node's file


@dataclass
class Position:
    """How far each stream was read: the time of its newest entries, and how many bytes there are of that time. In one
    stream times never go back, and the manager is asked from a time on, which it takes to the nanosecond.
    """

    stamps: dict[Stream, str] = field(default_factory=dict)
    sizes: Counter[Stream] = field(default_factory=Counter)

    @property
    def since(self) -> str | None:
        """A time from which on nothing is missed, as seconds."""
        if not self.stamps:
            return None
        earliest = datetime.fromisoformat(f"{min(self.stamps.values())[:19]}+00:00")
        return str(int((earliest - _STAMPED_EARLIER).timestamp()))

    def reach(self, entry: Entry) -> None:
        """Count an entry, when reading from the beginning of its time on."""
        if self.stamps.get(entry.stream) != entry.stamp:
            self.stamps[entry.stream], self.sizes[entry.stream] = entry.stamp, 0
        self.sizes[entry.stream] += len(entry.data)

    def take(self, stream: Stream, other: Position) -> None:
        self.stamps[stream], self.sizes[stream] = other.stamps[stream], other.sizes[stream]


class Beyond:
    """Lets through what lies beyond a position, where reading begins at its `since`."""

    def __init__(self, position: Position) -> None:
        self._from = Position(dict(position.stamps), Counter(position.sizes))

    def fresh(self, entry: Entry) -> bytes:
        known = self._from.stamps.get(entry.stream, "")
        if entry.stamp != known:
            return entry.data if entry.stamp > known else b""
        held = min(self._from.sizes[entry.stream], len(entry.data))
        self._from.sizes[entry.stream] -= held
        return entry.data[held:]


class FirstWords:
    """Whether a process has spoken, for somebody who waits until it runs; `stop` when nobody does any more."""

    def __init__(self) -> None:
        self.have_come = False
        self._stopped = threading.Event()

    def listen(self, connection: Connection, tell: Callable[[], None]) -> None:
        with suppress(OSError, ValueError):  # the connection is closed
            while not (self.have_come or self._stopped.is_set()):
                self.have_come = connection.has_news(_LISTEN_SECONDS)
        tell()

    def stop(self) -> None:
        self._stopped.set()


class Logs:
    """Reads the output of containers. `watch` tells when there is nothing more to come."""

    def __init__(self, calls: Calls, watch: Watch, clock: Callable[[], datetime]) -> None:
        self._calls = calls
        self._watch = watch
        self._clock = clock
        self._lock = threading.Lock()
        self._open: set[Connection] = set()
        self._held: dict[str, Connection] = {}  # from before the start, by the service
        self._closed = threading.Event()

    def read(self, handle: Handle, seen: Seen | None) -> Iterator[Chunk]:
        reading = Reading(Received.before(seen) if seen else Received())
        with suppress(Gone):
            while not is_over(service := self._watch.now(handle.id)):
                assert service is not None
                if service.lost_node:
                    yield self._note(_WAITS.format(node=service.lost_node))
                    self._watch.until(handle.id, _has_word)
                else:
                    yield from self._followed(handle, service, reading)
            self.let_go(handle.id)  # it has ended before anybody followed it
            yield from self._rest(handle, service, reading)
            if service and service.lost_node:
                yield self._note(_CUT_OFF.format(node=service.lost_node))

    def hold(self, service_id: str, first_words: FirstWords) -> None:
        """Follow a service that was just created: that its process speaks is known before its state is. Raises
        EngineUnavailable.
        """
        connection = self._calls.stream("GET", _path(service_id), follow=1, **_AS_WRITTEN)
        with self._lock:
            self._held[service_id] = connection
        listen = partial(first_words.listen, connection, self._watch.look_again)
        threading.Thread(target=listen, name=f"first-words-{service_id}", daemon=True).start()

    def let_go(self, service_id: str) -> None:
        with self._lock:
            connection = self._held.pop(service_id, None)
        if connection is not None:
            connection.interrupt()
            connection.close()

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            held = list(self._held)
            for connection in self._open:
                connection.interrupt()
        for service_id in held:
            self.let_go(service_id)

    def _followed(self, handle: Handle, service: Service, reading: Reading) -> Iterator[Chunk]:
        """Yield what comes until the container has ended, or the connection."""
        try:
            with (
                self._connected(service.id, reading, follow=1) as connection,
                self._watch.calling_at_end(handle.id, connection.interrupt),
            ):
                yield from reading.of(connection.chunks())
        except Gone:
            raise
        except (OSError, BrokenFrame, EngineUnavailable) as error:
            log.debug("following the output of %s broke off: %s", handle.name, error)
        self._watch.until(handle.id, is_silent, _AGAIN_SECONDS)

    def _rest(self, handle: Handle, service: Service | None, reading: Reading) -> Iterator[Chunk]:
        if service is None:
            raise Gone(404, "There is no service of that name any more.")
        for tries_left in reversed(range(_TRIES)):
            try:
                with self._connected(service.id, reading, follow=0) as connection:
                    yield from reading.of(connection.chunks(_ANSWER_SECONDS))
                return
            except (OSError, BrokenFrame, EngineUnavailable) as error:
                if isinstance(error, Gone):
                    raise
                if service.lost_node:
                    return
                if not tries_left:
                    raise EngineUnavailable(
                        f"The rest of the output of {handle.name} can't be read: {error}"
                    ) from error
                self._pause(_AGAIN_SECONDS)

    @contextmanager
    def _connected(self, service_id: str, reading: Reading, *, follow: int) -> Iterator[Connection]:
        with self._lock:
            connection = self._held.pop(service_id, None) if follow else None
        if connection is None:
            since = {} if reading.position.since is None else {"since": reading.position.since}
            connection = self._calls.stream("GET", _path(service_id), follow=follow, **_AS_WRITTEN, **since)
        with self._lock:
            self._open.add(connection)
        try:
            yield connection
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _note(self, text: str) -> Chunk:
        return Chunk(self._clock(), Stream.SYSTEM, f"{text}\n".encode())

    def _pause(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise EngineUnavailable(CLOSING)


class Reading:
    """What was read of one container's output, over all connections. What an earlier process had `received` is known by
    its size, or by its time where the node may have dropped the beginning.
    """

    def __init__(self, received: Received) -> None:
        self.position = Position()
        self._before = received.last_at
        self._known = (
            AfterTime(received.last_at, received.last_at_of)
            if received.may_have_rotated and received.last_at
            else BeyondCount(received)
        )

    def of(self, pieces: Iterator[bytes]) -> Iterator[Chunk]:
        """Yield what is new. Raises OSError, BrokenFrame."""
        beyond, here, frames = Beyond(self.position), Position(), Demultiplexer()
        for piece in pieces:
            for stream, payload in frames.feed(piece):
                entry = parse_entry(stream, payload)
                here.reach(entry)
                if data := beyond.fresh(entry):
                    self.position.take(stream, here)
                    yield from self._new(Entry(entry.stamp, stream, data))

    def _new(self, entry: Entry) -> Iterator[Chunk]:
        fresh = self._known.fresh(entry)
        if isinstance(self._known, AfterTime) and self._known.gap and self._before:
            self._known.gap = False
            text = (
                f"Output between {self._before:%H:%M:%S.%f} and {entry.at:%H:%M:%S.%f} UTC may be missing.\n"
            )
            yield Chunk(entry.at, Stream.SYSTEM, text.encode())
        if fresh:
            yield Chunk(entry.at, entry.stream, fresh)


def _has_word(service: Service | None) -> bool:
    return is_over(service) or not (service and service.lost_node)


def _path(service_id: str) -> str:
    return f"/services/{service_id}/logs"
