"""A container's output as a node has it, read on from where it broke off.

A line comes with the node's time. Where to go on is that time and how many bytes of it were received: the API server
sends whole seconds again, and what is known of them is dropped. Bytes stay what they were, but for two things that
nodes do: both streams are one, and some nodes end a last line that has no end.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from app.domain.errors import EngineUnavailable
from app.domain.output import Seen, Stream
from app.engines.base import Chunk
from app.engines.kubernetes.api import Api, Gone, Invalid
from app.engines.kubernetes.classify import read_time
from app.engines.kubernetes.manifests import CONTAINER

CLOSING = "Jobyard is closing its connection to the cluster; the container is left alone."
KEPT_BYTES = (
    8 * 1024 * 1024
)  # that a node has from the first byte on: by default it begins a new file at 10 MiB
_IDLE_SECONDS = (
    60.0  # a stream that is silent for so long is opened anew: some go silent when a node rotates its file
)
_AGAIN_SECONDS = 0.5
_STAMP_BYTES = 64  # a node's time takes fewer
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_MOST_WORDS = 200  # bytes of a node's sentence


class NoLog(EngineUnavailable):
    """Instead of lines with their times there came a sentence of the node's, such as that it has no log any more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A piece of a line. `stamp` is the node's time as it writes it; in one container it never goes back."""

    stamp: str
    data: bytes


class Lines:
    """Takes an answer apart: a time at the beginning of each line, and its bytes up to and with the line's end."""

    def __init__(self) -> None:
        self._stamp = ""
        self._head = b""

    def feed(self, data: bytes) -> Iterator[Entry]:
        while data:
            if not self._stamp:
                data = self._read_stamp(data)
                continue
            line, end, data = data.partition(b"\n")
            yield Entry(self._stamp, line + end)
            if end:
                self._stamp = ""

    def _read_stamp(self, data: bytes) -> bytes:
        stamp, space, rest = (self._head + data).partition(b" ")
        if len(stamp) > _STAMP_BYTES or (space and not _STAMP.fullmatch(stamp)):
            raise NoLog(f"The node does not give what the container said: {_words(self._head + data)}")
        self._head = b"" if space else stamp
        self._stamp = stamp.decode("ascii", "replace") if space else ""
        return rest


@dataclass
class Cursor:
    """Where to go on: `size` bytes of the lines of `stamp` are known already, or so many from the first byte on where
    there is no stamp. Where all lines of that time are taken for known, `is_whole`.
    """

    stamp: str = ""
    size: int = 0
    is_whole: bool = False
    gap_after: datetime | None = None

    @classmethod
    def of(cls, seen: Seen | None) -> Cursor:
        if seen is None:
            return cls()
        held = seen.stdout_bytes + seen.stderr_bytes
        if held + 64 * seen.lines < KEPT_BYTES:
            return cls(size=held)
        return cls(_nanoseconds(f"{seen.at:%Y-%m-%dT%H:%M:%S.%f}999Z"), is_whole=True, gap_after=seen.at)

    def copy(self) -> Cursor:
        return Cursor(self.stamp, self.size, self.is_whole, self.gap_after)

    def reach(self, entry: Entry) -> None:
        """Count an entry, when reading from the beginning of a time on."""
        at = _nanoseconds(entry.stamp)
        self.size = len(entry.data) + (self.size if at == self.stamp else 0)
        self.stamp = at

    def beyond(self, entry: Entry) -> bytes:
        """Return what of an entry is new, for a cursor that is moved by nothing else."""
        at = _nanoseconds(entry.stamp)
        if self.stamp and at != self.stamp:
            return entry.data if at > self.stamp else b""
        if self.is_whole:
            return b""
        known = min(self.size, len(entry.data))
        self.size -= known
        return entry.data[known:]


def _nanoseconds(stamp: str) -> str:
    """Return a time of RFC 3339 in UTC with all nine digits of its fraction, which are compared as text."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return f"{whole}.{fraction:0<9}"


class Logs:
    """Reads the output of containers. `has_ended(job)` says whether it has, and raises Gone where there is no pod."""

    def __init__(self, api: Api, has_ended: Callable[[str], bool], clock: Callable[[], datetime]) -> None:
        self._api = api
        self._clock = clock
        self._has_ended = has_ended
        self._closed = threading.Event()

    def read(self, job: str, pod: str, seen: Seen | None) -> Iterator[Chunk]:
        at = Cursor.of(seen)
        try:
            while not self._has_ended(job):
                yield from self._some(pod, at, follow=True)
            yield from self._some(pod, at, follow=False)
        except Gone:
            return
        except NoLog as error:
            yield Chunk(self._clock(), Stream.SYSTEM, f"{error}\n".encode())

    def close(self) -> None:
        self._closed.set()

    def _some(self, pod: str, at: Cursor, *, follow: bool) -> Iterator[Chunk]:
        """Yield what is new, and move the cursor; a stream that breaks or goes silent ends it as well."""
        known = at.copy()
        try:
            here = Cursor()
            for entry in self._entries(pod, known, follow=follow):
                here.reach(entry)
                if known.gap_after and here.stamp > known.stamp:
                    yield _missing(known.gap_after, entry)
                known.gap_after = at.gap_after = None
                if fresh := known.beyond(entry):
                    at.stamp, at.size, at.is_whole = here.stamp, here.size, False
                    yield Chunk(_time(entry), Stream.STDOUT, fresh)
        except (Gone, Invalid):
            raise
        except EngineUnavailable:
            if self._closed.wait(_AGAIN_SECONDS):
                raise EngineUnavailable(CLOSING) from None
            if not follow:
                raise
        if self._closed.is_set():
            raise EngineUnavailable(CLOSING)

    def _entries(self, pod: str, at: Cursor, *, follow: bool) -> Iterator[Entry]:
        params: dict[str, object] = {
            "container": CONTAINER,
            "timestamps": "true",
            "follow": str(follow).lower(),
        }
        if at.stamp:
            params["sinceTime"] = f"{at.stamp.partition('.')[0]}Z"
        lines = Lines()
        with self._api.stream(self._api.log_path(pod), _IDLE_SECONDS, **params) as answer:
            for data in answer.iter_raw():
                yield from lines.feed(data)


def _words(data: bytes) -> str:
    return data[:_MOST_WORDS].partition(b"\n")[0].decode("utf-8", "replace").strip()


def _time(entry: Entry) -> datetime:
    at = read_time(f"{_nanoseconds(entry.stamp)[:-3]}Z")
    assert at is not None
    return at


def _missing(since: datetime, entry: Entry) -> Chunk:
    until = _time(entry)
    text = f"Output between {since:%H:%M:%S.%f} and {until:%H:%M:%S.%f} UTC may be missing.\n"
    return Chunk(until, Stream.SYSTEM, text.encode())
