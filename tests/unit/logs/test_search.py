"""A search finds what a naive scan finds, however it is cut up, and does a bounded amount of work at a time."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.output import Stream
from app.logs import LogReader, LogWriter, is_error
from app.logs.display import without_escapes
from app.logs.search import SEARCHED_OF_LINE, Containing, Errors, Found, Place, Wanted, search
from app.logs.selection import Selection

START = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
ALL = Selection()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attempt.log"


def written(path: Path, text: bytes, cap: int = 100_000_000) -> LogReader:
    with LogWriter(path, cap_bytes=cap) as log:
        log.write(START, Stream.STDOUT, text)
    return LogReader(path)


def found(log: LogReader, wanted: Wanted, selection: Selection = ALL, **bounds: int) -> list[tuple[int, int]]:
    """(number, offset) of every line, asked for again and again until the end is reached."""
    place, lines = Place(), []
    while True:
        part = search(log, wanted, selection, place, **bounds)
        lines += [(row.number, row.offset) for row, _ in part.lines]
        if part.is_complete:
            return lines
        assert part.place > place, "a search that does not move on never ends"
        place = part.place


def naive(log: LogReader, needle: str, selection: Selection = ALL) -> list[tuple[int, int]]:
    """Every line put together of its pieces, without escape sequences, compared as text."""
    whole: list[tuple[int, int, Stream, int, bytes, bool]] = []
    for line in log.lines():
        same = whole and not whole[-1][5] and (line.stream, line.instance) == whole[-1][2:4]
        ended = line.stream is Stream.SYSTEM and line.complete and not line.text
        if whole and not whole[-1][5] and whole[-1][0] == line.number and (same or ended):
            number, offset, stream, instance, text, _ = whole[-1]
            whole[-1] = (number, offset, stream, instance, text + line.text, line.complete)
        else:
            whole.append((line.number, line.offset, line.stream, line.instance, line.text, line.complete))
    return [
        (number, offset)
        for number, offset, stream, instance, text, _ in whole
        if selection.has(stream, instance)
        and needle.lower() in without_escapes(text).decode("utf-8", "replace").lower()
    ]


def test_where_few_bytes_were_dropped_the_line_that_says_so_is_found(path: Path) -> None:
    with LogWriter(path, cap_bytes=40) as writer:
        for number in range(30):
            writer.write(START + timedelta(seconds=number), Stream.STDOUT, b"\n")
    log = LogReader(path)
    assert len(naive(log, "dropped")) == 1
    assert found(log, Containing("dropped"), block=1, budget=1) == naive(log, "dropped")


PIECES = [
    b"\n",
    b"\r",
    b"a",
    b"AB",
    b"\x1b[31m",
    b"\x1b[0m",
    b"\x1b]0;ab",
    b"\x07",
    b"b\n",
    b"\xc3\x89t",
    b"\xff",
]


@settings(max_examples=150, deadline=None)
@given(
    said=st.lists(
        st.tuples(
            st.sampled_from([Stream.STDOUT, Stream.STDERR]),
            st.integers(0, 1),
            st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join),
        ),
        max_size=10,
    ),
    needle=st.sampled_from(["a", "ab", "AAB", "ét", "\ufffd", "b"]),
    selection=st.sampled_from([ALL, Selection(instance=1), Selection(stream=Stream.STDERR)]),
    bounds=st.fixed_dictionaries(
        {"limit": st.integers(1, 4), "budget": st.integers(1, 60), "block": st.integers(1, 50)}
    ),
    cap=st.sampled_from([40, 100_000]),
)
def test_any_search_equals_a_naive_scan(
    said: list[tuple[Stream, int, bytes]], needle: str, selection: Selection, bounds: dict[str, int], cap: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "attempt.log"
        with LogWriter(path, cap_bytes=cap) as writer:
            for number, (stream, instance, text) in enumerate(said):
                writer.write(START + timedelta(seconds=number), stream, text, instance)
        log = LogReader(path)
        assert found(log, Containing(needle), selection, **bounds) == naive(log, needle, selection)


def test_letters_of_both_cases_unless_asked_for(path: Path) -> None:
    log = written(path, b"Out of Memory\nout of memory\n\xc3\x89tat\n\xc3\xa9tat\n")
    assert [number for number, _ in found(log, Containing("OUT OF"))] == [1, 2]
    assert [number for number, _ in found(log, Containing("out of", exact_case=True))] == [2]
    assert [number for number, _ in found(log, Containing("état"))] == [3, 4]


def test_each_of_forty_errors_among_two_hundred_thousand_lines_is_found(path: Path) -> None:
    line = "2026-11-22 {} request {} took 3 ms, 0 errors\n"
    text = "".join(line.format("ERROR" if n % 5000 == 7 else "INFO", n) for n in range(200_000))
    log = written(path, text.replace("ERROR request", "\x1b[31mERR\x1b[0m request failing").encode())
    assert found(log, Errors()) == []  # "0 errors" says that there are none
    shown = text.replace(", 0 errors", "").replace("ERROR", "\x1b[31mERROR\x1b[0m")
    errors = found(written(path.with_name("three.log"), shown.encode()), Errors())
    assert [number for number, _ in errors] == [n + 1 for n in range(7, 200_000, 5000)]


def test_a_coloured_error_is_one() -> None:
    assert is_error(b"\x1b[1;31mERROR\x1b[0m it broke")
    assert not is_error(b"terror")


def test_jobyards_own_lines_are_no_errors_but_can_be_searched(path: Path) -> None:
    with LogWriter(path) as writer:
        writer.note(START, "The container engine failed.")
    log = LogReader(path)
    assert found(log, Errors()) == []
    assert found(log, Containing("engine")) == [(1, 0)]


class Counting:
    """A log that counts the bytes it is asked for."""

    def __init__(self, log: LogReader) -> None:
        self.log = log
        self.bytes = 0
        self.largest = 0

    def read(self, offset: int, limit: int) -> object:
        piece = self.log.read(offset, limit)
        self.bytes += len(piece.data)
        self.largest = max(self.largest, len(piece.data))
        return piece

    def __getattr__(self, name: str) -> object:
        return getattr(self.log, name)


@pytest.mark.parametrize("line", [b"x" * 99 + b"\n", b"y" * 30_000_000], ids=["many lines", "one line"])
def test_one_call_reads_no_more_than_its_budget(path: Path, line: bytes) -> None:
    log = Counting(written(path, line * (30_000_000 // len(line))))
    part: Found = search(log, Containing("absent"), ALL, budget=2_000_000)  # type: ignore[arg-type]
    assert not part.is_complete
    assert 2_000_000 <= log.bytes < 2_000_000 + SEARCHED_OF_LINE + 65_536
    assert log.largest <= 65_536


def test_of_a_very_long_line_the_beginning_is_searched_and_what_follows_is_found(path: Path) -> None:
    long = b"early " + b"x" * SEARCHED_OF_LINE * 2 + b" late"
    log = written(path, long + b"\nafter\n")
    assert found(log, Containing("early"), budget=300_000) == [(1, 0)]
    assert found(log, Containing("late"), budget=300_000) == []
    assert found(log, Containing("after"), budget=300_000) == [(2, len(long) + 1)]


def test_a_live_log_goes_on_from_where_the_search_ended(path: Path) -> None:
    with LogWriter(path) as writer:
        writer.write(START, Stream.STDOUT, b"hit one\nhi")
        first = search(LogReader(path), Containing("hit"), ALL)
        assert (first.is_complete, [row.number for row, _ in first.lines]) == (True, [1])
        writer.write(START, Stream.STDOUT, b"t two\nhit three\n")
        second = search(LogReader(path), Containing("hit"), ALL, first.place)
    assert [row.number for row, _ in second.lines] == [2, 3]
