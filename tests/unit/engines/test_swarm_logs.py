"""Reading one output over several connections, each of which may end anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.domain.output import Seen, Stream
from app.engines.docker.frames import HEADER
from app.engines.docker.output import Received
from app.engines.swarm.logs import Reading

BEGAN = datetime(2030, 1, 1, tzinfo=UTC)
Entries = Sequence[tuple[int, Stream, bytes]]  # each at so many tenths of a second


def stamp(tenths: int) -> str:
    at = BEGAN + timedelta(seconds=tenths / 10)
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z"


def frames(entries: Entries, since: str | None) -> bytes:
    """What a manager answers that is asked from a time on."""
    found = b""
    for tenths, stream, data in entries:
        if since is None or (BEGAN + timedelta(seconds=tenths / 10)).timestamp() >= float(since):
            payload = f"{stamp(tenths)} ".encode() + data
            found += HEADER.pack(int(stream), len(payload)) + payload
    return found


def pieces(data: bytes, size: int = 7) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def of(stream: Stream, entries: Entries) -> bytes:
    return b"".join(data for _, each, data in entries if each is stream)


outputs = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from([Stream.STDOUT, Stream.STDERR]),
        st.binary(min_size=1, max_size=6).map(lambda data: data + b"\n"),
    ),
    max_size=30,
)


def in_time(steps: Entries) -> Entries:
    """Entries as a node writes them: time stands still or goes on."""
    now, found = 0, []
    for step, stream, data in steps:
        now += step
        found.append((now, stream, data))
    return found


@given(outputs, st.lists(st.floats(0, 1), max_size=5), st.floats(0, 1))
def test_every_byte_comes_once_however_connections_end(
    steps: Entries, ends: list[float], known: float
) -> None:
    entries = in_time(steps)
    held = entries[: int(known * len(entries))]
    seen = Seen(
        BEGAN,
        stdout_bytes=len(of(Stream.STDOUT, held)),
        stderr_bytes=len(of(Stream.STDERR, held)),
        lines=len(held),
    )
    reading = Reading(Received.before(seen))
    got = {Stream.STDOUT: of(Stream.STDOUT, held), Stream.STDERR: of(Stream.STDERR, held)}
    for end in [*ends, 1.0]:
        answer = frames(entries, reading.position.since)
        for chunk in reading.of(pieces(answer[: int(end * len(answer))])):
            got[chunk.stream] += chunk.data
    assert got == {stream: of(stream, entries) for stream in got}
