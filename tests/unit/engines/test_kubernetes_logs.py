"""A container's output, read on from where it broke off."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.output import Seen
from app.engines.kubernetes.logs import KEPT_BYTES, Cursor, Entry, Lines, NoLog

AT = datetime(2026, 11, 30, 10, 0, 0, 123456, UTC)
EARLIER, SAME, LATER = (f"2026-11-30T10:00:00.{each}Z" for each in ("123455", "123456789", "1235"))
CUTS = st.lists(st.integers(1, 40), max_size=20)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    found = []
    for cut in cuts:
        found.append(data[:cut])
        data = data[cut:]
    return [*found, data]


def seen(size: int) -> Seen:
    return Seen(AT, stdout_bytes=size, stderr_bytes=0, lines=1)


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=6), CUTS)
def test_lines_come_apart_however_they_arrive(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(f"2026-11-30T10:00:0{n}Z ".encode() + line + b"\n" for n, line in enumerate(lines))
    apart = Lines()
    found: dict[str, bytes] = {}
    for piece in pieces(data, cuts):
        for entry in apart.feed(piece):
            found[entry.stamp] = found.get(entry.stamp, b"") + entry.data
    assert found == {f"2026-11-30T10:00:0{n}Z": line + b"\n" for n, line in enumerate(lines)}


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=8), st.data())
def test_reading_on_brings_just_the_rest(parts: list[bytes], data: st.DataObject) -> None:
    """Wherever it broke off, also amid several lines of the same time."""
    stamps = sorted(data.draw(st.sampled_from([EARLIER, SAME, LATER])) for _ in parts)
    entries = [Entry(stamp, part) for stamp, part in zip(stamps, parts, strict=True)]
    upto = data.draw(st.integers(0, len(entries)))
    here = Cursor()
    for entry in entries[:upto]:
        here.reach(entry)
    rest = b"".join(map(here.copy().beyond if not upto else here.beyond, entries))
    assert rest == b"".join(parts[upto:])


def test_what_another_process_holds_is_counted_from_the_first_byte_on() -> None:
    cursor = Cursor.of(seen(5))
    assert [cursor.beyond(Entry(EARLIER, b"abc")), cursor.beyond(Entry(LATER, b"defg"))] == [b"", b"fg"]


def test_more_than_nodes_keep_is_told_by_time() -> None:
    cursor = Cursor.of(seen(KEPT_BYTES))
    assert [cursor.beyond(Entry(each, b"x")) for each in (EARLIER, SAME, LATER)] == [b"", b"", b"x"]
    assert cursor.gap_after == AT


@pytest.mark.parametrize(
    "said",
    [
        b"unable to retrieve container logs for containerd://12ab",
        b'failed to try resolving symlinks in path "/var/log/pods/x": no such file or directory\nmore',
    ],
)
def test_a_sentence_instead_of_lines_is_no_output(said: bytes) -> None:
    with pytest.raises(NoLog) as told:
        list(Lines().feed(said))
    assert str(told.value).endswith(said.decode().partition("\n")[0])
