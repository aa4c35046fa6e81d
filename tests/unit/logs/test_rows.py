from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.logs import LogReader, LogWriter, Row, Stream, display_segments, rows, rows_before, rows_from
from app.logs.rows import LONGEST

START = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attempt-1.log"


def written(path: Path, *chunks: bytes) -> LogReader:
    with LogWriter(path) as log:
        for number, chunk in enumerate(chunks):
            log.write(at(number), Stream.STDOUT, chunk)
    return LogReader(path)


def brief(row: Row) -> tuple[int, int, int, bytes, int]:
    return row.number, row.offset, row.end, row.text, row.rest


def test_a_line_of_any_length_is_one_row_that_says_how_much_more_there_is(path: Path) -> None:
    size = 3_000_000
    log = written(path, b"before\n", b"x" * size, b"\nafter\n")
    before, long, after = rows_from(log, 0)
    assert brief(before) == (1, 0, 7, b"before", 0)
    assert brief(long) == (2, 7, 7 + size + 1, b"x" * LONGEST, size - LONGEST)
    assert brief(after) == (3, 7 + size + 1, 7 + size + 7, b"after", 0)
    assert log.read(long.rest_at, 1).data == b"x"
    assert list(rows_before(log, log.size, 2)) == [long, after]
    assert list(rows_before(log, long.offset, 9)) == [before]


def test_of_a_long_line_with_carriage_returns_the_last_state_is_shown(path: Path) -> None:
    states = b"".join(b"%06d of 100000 done\r" % number for number in range(100_000))
    [row] = rows_from(written(path, states, b"\r\n"), 0)
    assert (row.text.rstrip(b"\r"), row.rest, row.complete) == (b"099999 of 100000 done", 0, True)


def test_a_long_line_is_followed_from_where_it_was_read_to(path: Path) -> None:
    with LogWriter(path) as writer:
        log = LogReader(path)
        writer.write(at(0), Stream.STDOUT, b"x" * 100_000)
        [begun] = rows_from(log, 0)
        assert (begun.complete, begun.end) == (False, 100_000)
        writer.write(at(1), Stream.STDOUT, b"y" * 100_000 + b"\nnext")
        grown, following = rows(log.lines(begun.end, number=begun.number), begun)
    assert brief(grown) == (1, 0, 200_001, b"x" * LONGEST, 200_000 - LONGEST)
    assert brief(following) == (2, 200_001, 200_005, b"next", 0)


@given(
    pieces=st.lists(
        st.tuples(
            st.sampled_from([Stream.STDOUT, Stream.STDERR]),
            st.sampled_from([b"\n", b"\r", b"a", b"end\r\n", b"b" * LONGEST, b"c" * 40_000, b"d" * 70_000]),
        ),
        max_size=12,
    ),
    cut=st.integers(0, 12),
    patience=st.sampled_from([0, 600]),
)
def test_a_follower_sees_the_same_rows_as_one_who_comes_later(
    pieces: list[tuple[Stream, bytes]], cut: int, patience: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "attempt.log"
        log = LogReader(path)
        with LogWriter(path, patience_seconds=patience) as writer:
            for number, (stream, text) in enumerate(pieces[:cut]):
                writer.write(at(number), stream, text)
            seen = list(rows_from(log, 0))
            for number, (stream, text) in enumerate(pieces[cut:], cut):
                writer.write(at(number), stream, text)
        begun = seen.pop() if seen and not seen[-1].complete else None
        read_to = begun.end if begun else seen[-1].end if seen else 0
        number = begun.number if begun else seen[-1].number + 1 if seen else 1
        followed = [*seen, *rows(log.lines(read_to, number=number), begun)]
        whole = list(rows_from(log, 0))
        assert [brief(row) for row in followed] == [brief(row) for row in whole]
        assert all(len(row.text) <= LONGEST for row in whole)
        if whole:
            last = list(rows_before(log, log.size, 3))
            assert last == whole[-3:]


def test_rows_before_the_place_where_bytes_were_dropped(path: Path) -> None:
    with LogWriter(path, cap_bytes=1600) as writer:
        for number in range(1000):
            writer.write(at(number), Stream.STDOUT, b"%06d\n" % number)
    log = LogReader(path)
    whole = list(rows_from(log, 0))
    [marker] = [row for row in whole if row.stream is Stream.SYSTEM]
    for wanted in (1, 2, 3, 50, 5000):
        assert list(rows_before(log, log.size, wanted)) == whole[-wanted:]
        assert list(rows_before(log, marker.end, wanted)) == whole[: whole.index(marker) + 1][-wanted:]
        assert list(rows_before(log, marker.offset, wanted)) == whole[: whole.index(marker)][-wanted:]


def test_the_end_of_a_log_is_found_without_its_beginning(path: Path) -> None:
    log = written(path, b"".join(b"this is line number %d of many\n" % number for number in range(1, 20_001)))
    assert [row.number for row in rows_before(log, log.size, 2)] == [19_999, 20_000]
    assert len(rows_before(log, log.size, 15_000)) == 15_000
    assert log.start_before(log.size, 15_000) == rows_before(log, log.size, 15_000)[0].offset
    assert rows_before(log, 0, 3) == []


LINKED = "\x1b]8;;https://example.org/\x1b\\label\x1b]8;;\x1b\\"
COLOURED = f"1%\r\x1b[31mröd\x1b[0m https://example.com/a {LINKED}\n".encode()


@given(cuts=st.lists(st.integers(0, len(COLOURED) * 3), max_size=8))
def test_wherever_the_bytes_are_split_the_same_is_shown(cuts: list[int]) -> None:
    whole = COLOURED * 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "attempt.log"
        with LogWriter(path) as writer:
            for begin, end in pairwise([0, *sorted(cuts), len(whole)]):
                writer.write(at(0), Stream.STDOUT, whole[begin:end])
        shown = [display_segments(row.text) for row in rows_from(LogReader(path), 0)]
    assert shown == [display_segments(COLOURED)] * 3
