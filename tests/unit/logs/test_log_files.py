from __future__ import annotations

import tempfile
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.redaction import Redactor
from app.logs import LogReader, LogWriter, RunLog, Stream, remove_log

START = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def everything(log: LogReader | RunLog, offset: int = 0) -> bytes:
    return b"".join(piece.data for piece in log.pieces(offset))


def disk_use(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.rglob("*") if file.is_file())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attempt-1.log"


def test_bytes_are_in_the_file_as_they_came_and_at_once(path: Path) -> None:
    raw = bytes(range(256)) + b"\r\n\x1b[31m\xff"
    with LogWriter(path) as log:
        log.write(at(0), Stream.STDOUT, raw)
        assert path.read_bytes() == raw
        assert LogReader(path).read(0) == (raw, len(raw), 0)


def test_a_log_that_does_not_exist_yet_is_empty(path: Path) -> None:
    log = LogReader(path)
    assert (log.size, log.read(5), list(log.lines())) == (0, (b"", 0, 0), [])


def test_every_line_has_time_and_stream(path: Path) -> None:
    with LogWriter(path) as log:
        log.write(at(1), Stream.STDOUT, b"one\ntwo\n")
        log.write(at(2), Stream.STDERR, b"oops\n", instance=3)
        log.note(at(3), "exit code 1")
    lines = list(LogReader(path).lines())
    assert [(line.number, line.at, line.stream, line.instance, line.text) for line in lines] == [
        (1, at(1), Stream.STDOUT, 0, b"one"),
        (2, at(1), Stream.STDOUT, 0, b"two"),
        (3, at(2), Stream.STDERR, 3, b"oops"),
        (4, at(3), Stream.SYSTEM, 0, b"exit code 1"),
    ]
    assert [line.offset for line in lines] == [0, 4, 8, 13]
    assert all(line.complete for line in lines)


def test_a_line_has_the_time_of_its_first_byte(path: Path) -> None:
    with LogWriter(path) as log:
        log.write(at(1), Stream.STDOUT, b"slow ")
        log.write(at(5), Stream.STDOUT, b"line\nnext\n")
    assert [(line.at, line.text) for line in LogReader(path).lines()] == [
        (at(1), b"slow line"),
        (at(5), b"next"),
    ]


def test_another_source_waits_for_the_end_of_a_line(path: Path) -> None:
    with LogWriter(path, patience_seconds=600) as log:
        log.write(at(1), Stream.STDOUT, b"mode ")
        log.write(at(2), Stream.STDERR, b"warning\n", instance=1)
        log.write(at(3), Stream.STDOUT, b"fast\n")
        log.write(at(4), Stream.STDOUT, b"half")
        log.write(at(5), Stream.STDERR, b"of it", instance=1)
        assert path.read_bytes() == b"mode fast\nwarning\nhalf"
    assert [(line.number, line.at, line.instance, line.text) for line in LogReader(path).lines()] == [
        (1, at(1), 0, b"mode fast"),
        (2, at(2), 1, b"warning"),
        (3, at(4), 0, b"half"),
        (4, at(5), 1, b"of it"),
    ]


def test_a_line_that_does_not_end_is_ended_by_us(path: Path) -> None:
    with LogWriter(path, patience_seconds=0) as log:
        log.write(at(1), Stream.STDOUT, b"50%")
        log.write(at(2), Stream.STDERR, b"warning\n")
        log.write(at(3), Stream.STDOUT, b"done\n")
    lines = list(LogReader(path).lines())
    assert [(line.number, line.stream, line.text) for line in lines] == [
        (1, Stream.STDOUT, b"50%"),
        (2, Stream.STDERR, b"warning"),
        (3, Stream.STDOUT, b"done"),
    ]
    assert all(line.complete for line in lines)
    assert [line.offset for line in LogReader(path).lines(lines[1].offset, number=2)] == [4, 12]


def test_who_waits_is_written_without_another_word(path: Path) -> None:
    grown = threading.Event()
    with LogWriter(path, patience_seconds=0.05) as log:
        log.write(at(1), Stream.STDOUT, b"working ... ")
        log._on_append = grown.set
        log.write(at(2), Stream.STDERR, b"warning\n")
        assert grown.wait(10)
        assert path.read_bytes() == b"working ... \nwarning\n"


def test_a_full_disk_is_told_to_the_next_one_who_writes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    def full(*_: object) -> int:
        failed.set()
        raise OSError("No space left on device")

    log = LogWriter(path, patience_seconds=0.05)
    log.write(at(1), Stream.STDOUT, b"working ... ")
    monkeypatch.setattr("app.logs.writer.os.write", full)
    log.write(at(2), Stream.STDERR, b"warning\n")
    assert failed.wait(10)
    with pytest.raises(OSError, match="No space"):
        log.write(at(3), Stream.STDERR, b"more\n")
    with pytest.raises(OSError, match="No space"):
        log.close()


def test_what_waits_is_held_but_not_stored(path: Path) -> None:
    """It is said again to a writer that comes after a crash, and to nobody else."""
    crashed = LogWriter(path, patience_seconds=600)
    crashed.write(at(1), Stream.STDOUT, b"half")
    crashed.write(at(2), Stream.STDERR, b"one\ntwo\n")
    held = crashed.seen(0)
    assert held is not None
    assert (held.at, held.stdout_bytes, held.stderr_bytes) == (at(2), 4, 8)
    with LogWriter(path, patience_seconds=600) as log:
        stored = log.seen(0)
        assert stored is not None
        assert (stored.at, stored.stdout_bytes, stored.stderr_bytes) == (at(1), 4, 0)
        log.write(at(3), Stream.STDERR, b"one\ntwo\n")
        log.write(at(4), Stream.STDOUT, b" and half\n")
    assert path.read_bytes() == b"half and half\none\ntwo\n"


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([Stream.STDOUT, Stream.STDERR]),
            st.integers(0, 1),
            st.text("hunter2 \n", max_size=12),
        ),
        max_size=30,
    ),
    crashes=st.sets(st.integers(0, 29), max_size=3),
)
@settings(max_examples=60)
def test_whatever_is_said_and_whenever_it_dies_each_source_is_exact(
    steps: list[tuple[Stream, int, str]], crashes: set[int]
) -> None:
    """A writer after a crash is told again what lies beyond what the one before had stored."""
    redactor = Redactor(["hunter2"])
    said: dict[tuple[Stream, int], bytes] = {
        (s, i): b"" for s in (Stream.STDOUT, Stream.STDERR) for i in (0, 1)
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "attempt.log"
        log = LogWriter(path, redactor=redactor, patience_seconds=600)
        for number, (stream, instance, text) in enumerate(steps):
            said[stream, instance] += text.encode()
            log.write(at(number), stream, text.encode(), instance)
            if number in crashes:
                log = LogWriter(path, redactor=redactor, patience_seconds=600)
                for (each, of), whole in said.items():
                    seen = log.seen(of)
                    sizes = {} if seen is None else {1: seen.stdout_bytes, 2: seen.stderr_bytes}
                    log.write(at(number), each, whole[sizes.get(each, 0) :], of)
        log.close()
        written = dict.fromkeys(said, b"")
        for line in LogReader(path).lines():
            if line.stream is not Stream.SYSTEM:
                written[line.stream, line.instance] += line.text
        assert written == {source: redactor.mask(whole).replace(b"\n", b"") for source, whole in said.items()}


def test_a_note_after_an_unfinished_line_stands_on_its_own(path: Path) -> None:
    with LogWriter(path) as log:
        log.write(at(1), Stream.STDOUT, b"no newline")
        log.note(at(2), "stopped")
    assert path.read_bytes() == b"no newline\nstopped\n"
    assert [(line.number, line.stream, line.text) for line in LogReader(path).lines()] == [
        (1, Stream.STDOUT, b"no newline"),
        (2, Stream.SYSTEM, b"stopped"),
    ]


def test_reading_resumes_line_by_line_from_any_line_end(path: Path) -> None:
    with LogWriter(path) as log:
        for number in range(50):
            log.write(at(number), Stream.STDOUT, b"line %d\n" % number)
    log_reader = LogReader(path)
    whole = list(log_reader.lines())
    for line in whole:
        assert list(log_reader.lines(line.end, number=line.number + 1)) == whole[line.number :]
        assert log_reader.number_at(line.offset) == line.number


def test_a_very_long_line_comes_in_bounded_pieces(path: Path) -> None:
    with LogWriter(path) as log:
        for _ in range(40):
            log.write(at(0), Stream.STDOUT, b"x" * 16384)
        log.write(at(0), Stream.STDOUT, b"\nend\n")
    *pieces, last = LogReader(path).lines()
    assert max(len(piece.text) for piece in pieces) <= 128 * 1024
    assert b"".join(piece.text for piece in pieces) == b"x" * 16384 * 40
    assert {piece.number for piece in pieces} == {1}
    assert (last.number, last.text) == (2, b"end")


def test_above_the_cap_first_and_last_part_are_kept_with_a_marker_between(path: Path) -> None:
    cap = 16_000
    written = b"".join(b"%06d\n" % number for number in range(20_000))
    with LogWriter(path, cap_bytes=cap) as log:
        for start in range(0, len(written), 700):
            log.write(at(0), Stream.STDOUT, written[start : start + 700])
            assert disk_use(path) <= cap * 1.3
    log_reader = LogReader(path)
    assert log_reader.size == len(written)
    head, marker, *tail = log_reader.pieces()
    last = b"".join(piece.data for piece in tail)
    assert head.data == written[: cap // 2]
    assert written.endswith(last)
    assert cap // 2 * 7 // 8 <= len(last) <= cap // 2
    assert marker.dropped == len(written) - len(head.data) - len(last)
    assert marker.data.decode().strip() == f"… {marker.dropped:,} bytes dropped …"
    assert list(log_reader.lines())[-1].text == b"019999"
    [shown] = [line for line in log_reader.lines() if line.stream is Stream.SYSTEM]
    assert shown.text == marker.data.strip()


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=60),
    cap=st.integers(8, 400),
    follow=st.lists(st.booleans(), min_size=60, max_size=60),
    reopen=st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_a_follower_sees_every_byte_once_or_is_told_how_many_it_missed(
    chunks: list[bytes], cap: int, follow: list[bool], reopen: list[bool]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "run.log"
        log = LogWriter(path, cap_bytes=cap)
        reader, offset, truth = LogReader(path), 0, b""
        for number, chunk in enumerate(chunks):
            if reopen[number]:
                log.close()
                log = LogWriter(path, cap_bytes=cap)
            log.write(at(number), Stream.STDOUT, chunk)
            truth += chunk
            if not follow[number]:
                continue
            for piece in reader.pieces(offset):
                assert piece.next_offset > offset
                if piece.dropped:
                    assert piece.next_offset == offset + piece.dropped
                else:
                    assert piece.data == truth[offset : piece.next_offset]
                offset = piece.next_offset
            assert offset == len(truth) == reader.size
        log.close()
        lines = list(reader.lines())
        assert all(before.end <= after.offset for before, after in pairwise(lines))
        assert [line.number for line in lines] == sorted(line.number for line in lines)


def test_single_bytes_cannot_make_the_index_outgrow_the_log(path: Path) -> None:
    with LogWriter(path, cap_bytes=1000) as log:
        for number in range(2500):
            log.write(at(number), Stream.STDOUT, b"x")
    assert disk_use(path) <= 1000 * 1.3
    assert LogReader(path).size == 2500


def test_reopening_continues_at_the_real_end_and_repairs_a_torn_index(path: Path) -> None:
    with LogWriter(path) as log:
        log.write(at(1), Stream.STDERR, b"before\n")
    index = path.with_suffix(".idx")
    sound = index.read_bytes()
    ahead_of_the_data = sound[:0] + (99).to_bytes(8, "little") + sound[8:]
    index.write_bytes(sound + ahead_of_the_data + sound[:7])
    with LogWriter(path) as log:
        assert log.size == 7
        log.write(at(9), Stream.STDOUT, b"after\n")
    assert [(line.at, line.stream, line.text) for line in LogReader(path).lines()] == [
        (at(1), Stream.STDERR, b"before"),
        (at(9), Stream.STDOUT, b"after"),
    ]


def test_a_lost_index_costs_times_but_no_bytes(path: Path) -> None:
    with LogWriter(path) as log:
        log.write(at(1), Stream.STDOUT, b"a\nb\n")
    path.with_suffix(".idx").unlink()
    assert [(line.at, line.text) for line in LogReader(path).lines()] == [(None, b"a"), (None, b"b")]


def test_secrets_are_masked_before_they_reach_the_disk_on_each_stream_by_itself(path: Path) -> None:
    with LogWriter(path, redactor=Redactor(["hunter2hunter2"])) as log:
        log.write(at(1), Stream.STDOUT, b"out: hunter2")
        log.write(at(1), Stream.STDERR, b"err: hunter2")
        assert path.read_bytes() == b"out: "
        log.write(at(2), Stream.STDOUT, b"hunter2\n")
        log.write(at(2), Stream.STDERR, b"hunt!\n")
        log.note(at(3), "could not use hunter2hunter2")
        log.write(at(4), Stream.STDOUT, b"hunt")
    assert path.read_bytes() == b"out: ***\nerr: hunter2hunt!\ncould not use ***\nhunt"


def test_a_follower_is_woken_by_every_append_and_only_then(path: Path) -> None:
    woken: list[int] = []
    log = LogWriter(path, redactor=Redactor(["secret"]), on_append=lambda: woken.append(log.size))
    log.write(at(0), Stream.STDOUT, b"hello ")
    log.write(at(0), Stream.STDOUT, b"sec")
    assert woken == [6]
    log.end_streams()
    assert woken == [6, 9]
    log.close()
    log.close()
    assert woken == [6, 9]


def test_threads_may_share_a_writer(path: Path) -> None:
    with LogWriter(path) as log:

        def speak(instance: int) -> None:
            for _ in range(200):
                log.write(at(0), Stream.STDOUT, b"%d\n" % instance * 10, instance)

        threads = [threading.Thread(target=speak, args=(instance,)) for instance in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        log.flush()
    lines = list(LogReader(path).lines())
    assert len(lines) == 4 * 200 * 10
    assert all(line.text == b"%d" % line.instance for line in lines)


def test_a_run_log_is_its_attempts_one_after_the_other(tmp_path: Path) -> None:
    paths = [tmp_path / f"attempt-{number}.log" for number in (1, 2, 3)]
    for path, text in zip(paths, (b"first\n", b"", b"third\n"), strict=True):
        with LogWriter(path) as log:
            log.write(at(0), Stream.STDOUT, text)
    run = RunLog([LogReader(path) for path in [*paths, tmp_path / "attempt-4.log"]])
    assert everything(run) == b"first\nthird\n"
    assert run.size == 12
    assert run.read(8, limit=2) == (b"ir", 10, 0)
    assert run.read(12) == (b"", 12, 0)
    assert run.read(99) == (b"", 12, 0)


def test_the_run_log_keeps_the_offsets_of_dropped_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / "attempt-1.log", tmp_path / "attempt-2.log"]
    for path in paths:
        with LogWriter(path, cap_bytes=32) as log:
            log.write(at(0), Stream.STDOUT, b"0123456789" * 10)
    run = RunLog([LogReader(path) for path in paths])
    assert run.size == 200
    assert sum(piece.dropped for piece in run.pieces()) >= 2 * (100 - 32)
    assert everything(run, 190) == b"0123456789"


def test_removing_a_log_leaves_nothing(path: Path) -> None:
    with LogWriter(path, cap_bytes=32) as log:
        log.write(at(0), Stream.STDOUT, b"x" * 100)
    remove_log(path)
    remove_log(path)
    assert list(path.parent.iterdir()) == []
