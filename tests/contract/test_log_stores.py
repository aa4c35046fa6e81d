"""What every place for logs promises: own files, files on a volume that servers share, and a bucket.

One server writes, another reads, and takes over. With files of one server's own, the other is the same one restarted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

import pytest

from app.buckets import Bucket, Stored
from app.domain.metrics import Sample
from app.domain.output import Stream
from app.domain.redaction import Redactor
from app.domain.retention import Kind
from app.logs import LogReader, LogWriter, RunLog, Selection
from app.logs.copies import ASKED_EVERY, MOST_OBJECTS, Copies, LogsUnavailable
from app.logs.search import Containing, search
from app.runtime.log_storage import LogStorage
from app.runtime.signals import Signals
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, s3_server

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
CAP = 64 * 1024
NOTHING = Redactor([])
Make = Callable[[str], LogStorage]


def in_bucket(root: Path, address: str) -> LogStorage:
    bucket = Bucket(address, None, ACCESS_KEY, SECRET_KEY, None)
    copies = Copies(root, bucket, Stored("backups", "logs/"))
    return LogStorage(root, Signals(), CAP, copies=copies)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3") / "all") as found:
        yield found


@pytest.fixture(params=["own", "shared", "bucket"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes the storage of a server of that name."""
    match request.param:
        case "own":
            yield lambda _: LogStorage(tmp_path / "logs", Signals(), CAP)
        case "shared":
            yield lambda _: LogStorage(tmp_path / "logs", Signals(), CAP, is_shared=True)
        case _:
            with s3_server(tmp_path / "s3") as address:
                yield lambda name: in_bucket(tmp_path / name, address)


def said(log: RunLog | LogReader) -> bytes:
    return b"".join(piece.data for piece in log.pieces())


def say(writer: LogWriter, text: str, stream: Stream = Stream.STDOUT, seconds: float = 0) -> None:
    writer.write(AT + timedelta(seconds=seconds), stream, text.encode())


def read_anew(storage: LogStorage, number: int = 1) -> bytes:
    """What the storage has of the run, as whoever asks now and then is told."""
    sleep(ASKED_EVERY if storage.copies else 0)
    return said(storage.read_run(1, number))


def test_what_one_server_writes_another_reads_while_it_is_written_and_after(make: Make) -> None:
    one, other = make("one"), make("other")
    with one.write_attempt(1, 1, Redactor(["hunter22"])) as writer:
        say(writer, "to build\n")
        one.store_copies()
        assert read_anew(other) == b"to build\n"
        say(writer, "the password is hunter22\n", Stream.STDERR, seconds=5)
        one.store_copies()
        assert b"hunter22" not in read_anew(other)
        say(writer, "done")
    assert read_anew(other) == read_anew(one) != b""
    lines = list(other.reader(1, 1).lines())
    assert [(line.stream, line.at) for line in lines] == [
        (Stream.STDOUT, AT),
        (Stream.STDERR, AT + timedelta(seconds=5)),
        (Stream.STDOUT, AT),
    ]
    only = other.read_attempt(1, 1, Selection(stream=Stream.STDOUT))
    assert said(only) == b"to build\ndone"


def test_windows_searches_and_gaps_are_the_same_on_the_other_server(make: Make) -> None:
    one, other = make("one"), make("other")
    with one.write_build(7, NOTHING) as writer:
        for number in range(3 * CAP // 64):
            say(writer, f"{number:>62}\n")
            if number % 500 == 0:
                one.store_copies()
    mine, theirs = one.build_reader(7), other.build_reader(7)
    assert b"bytes dropped" in said(mine)
    assert said(theirs) == said(mine)
    assert theirs.start_before(theirs.size, 5) == mine.start_before(mine.size, 5)
    for log in (mine, theirs):
        assert [line.row.text.strip() for line in search(log, Containing("  317"), Selection()).lines] == [
            b"317"
        ]


def test_who_takes_over_goes_on_where_all_is_accounted_for_and_who_comes_back_changes_nothing(
    make: Make,
) -> None:
    one = make("one")
    stalled = one.write_attempt(1, 1, NOTHING, token=1, anew=True)
    say(stalled, "first\nsec")
    one.store_copies()
    other = make("other")
    with other.write_attempt(1, 1, NOTHING, token=2) as writer:
        seen = writer.seen(0)
        assert seen is not None
        assert seen.stdout_bytes == len("first\nsec")
        say(writer, "ond\nthird\n")
        if not (one.is_shared or one.copies):
            stalled.abandon()  # on files of its own, the one before was killed
        else:
            say(stalled, "ond, as it would have gone on\n")
            stalled.close()
            one.store_copies()
        other.store_copies()
    assert read_anew(other) == b"first\nsecond\nthird\n"
    assert read_anew(one) == b"first\nsecond\nthird\n"


def test_an_attempt_whose_id_came_again_begins_anew(make: Make) -> None:
    before = make("one")
    with before.write_attempt(1, 1, NOTHING, token=9, anew=True) as writer:
        say(writer, "of another time\n")
    restored = replace(make("other"), era=1)
    with restored.write_attempt(1, 1, NOTHING, token=1, anew=True) as writer:
        say(writer, "of this one\n")
    assert read_anew(restored) == b"of this one\n"
    assert read_anew(make("third")) == b"of this one\n"


def test_what_was_measured_is_read_by_the_other_server(make: Make) -> None:
    one, other = make("one"), make("other")
    sample = Sample(AT, 0.5, 1000, 10, 20, 3)
    with one.write_attempt(1, 1, NOTHING):
        one.vitals(1, 1).write_metrics(0).append(sample)
    assert other.vitals(1, 1).samples(0) == [sample]


def test_what_is_removed_is_gone_wherever_it_is_looked_for(make: Make) -> None:
    one = make("one")
    for run in (1, 2001):
        with one.write_attempt(run, 1, NOTHING) as writer:
            say(writer, "soon gone\n")
    with one.write_build(5, NOTHING) as writer:
        say(writer, "stays\n")
    other = make("other")
    assert [list(other.stored(kind)) for kind in (Kind.RUNS, Kind.BUILDS)] == [[[1], [2001]], [[5]]]
    assert other.holds(Kind.RUNS, 1)
    other.remove(Kind.RUNS, 1)
    assert list(other.stored(Kind.RUNS)) == [[2001]]
    assert said(make("third").read_run(1, 1)) == b""
    assert said(make("third").read_run(2001, 1)) == b"soon gone\n"


# only of a bucket


def objects(folder: Path) -> list[Path]:
    return sorted(each for each in (folder / "backups").rglob("*") if each.is_file())


def test_a_bucket_out_of_reach_holds_up_nothing_and_gets_the_rest_later(tmp_path: Path) -> None:
    gone = in_bucket(tmp_path / "one", "http://127.0.0.1:9")
    with gone.write_attempt(1, 1, NOTHING, token=1, anew=True) as writer:
        say(writer, "nobody is there\n")
        with pytest.raises(LogsUnavailable, match=r"logs/runs/000000/1/1/.*did not answer"):
            gone.store_copies()
    assert said(gone.read_run(1, 1)) == b"nobody is there\n"
    with s3_server(tmp_path / "s3") as address:
        again = in_bucket(tmp_path / "one", address)
        assert not again.store_copies(), "no log is written any more"
        assert said(in_bucket(tmp_path / "other", address).read_run(1, 1)) == b"nobody is there\n"


def test_what_a_killed_server_had_not_stored_is_stored_when_it_starts_again(
    tmp_path: Path, address: str
) -> None:
    one = in_bucket(tmp_path / "one", address)
    writer = one.write_build(31, NOTHING, token=1, anew=True)
    say(writer, "stored\n")
    one.store_copies()
    say(writer, "not stored\n")
    writer.abandon()
    again, other = in_bucket(tmp_path / "one", address), in_bucket(tmp_path / "other", address)
    assert said(other.read_build(31)) == b"stored\n"
    again.store_copies()
    sleep(ASKED_EVERY)
    assert said(other.read_build(31)) == b"stored\nnot stored\n"


def test_a_log_that_is_over_is_few_objects_and_its_files_go_when_nobody_reads_them(tmp_path: Path) -> None:
    with s3_server(tmp_path / "s3") as address:
        one, other = in_bucket(tmp_path / "one", address), in_bucket(tmp_path / "other", address)
        with one.write_attempt(1, 1, NOTHING) as writer:
            for number in range(2 * MOST_OBJECTS):
                say(writer, f"{number}\n")
                one.store_copies()
            read_anew(other)
            assert len(objects(tmp_path / "s3")) > MOST_OBJECTS
        assert len(objects(tmp_path / "s3")) == 1
        whole = read_anew(one)
        assert read_anew(other) == whole
        one.drop_unread(datetime.now(UTC) + timedelta(seconds=1))
        assert not one.attempt_path(1, 1).exists()
        assert read_anew(one) == whole


def test_files_that_the_bucket_lacks_something_of_are_kept(tmp_path: Path) -> None:
    gone = in_bucket(tmp_path / "one", "http://127.0.0.1:9")
    with gone.write_attempt(1, 1, NOTHING, anew=True) as writer:
        say(writer, "only here\n")
    gone.drop_unread(datetime.now(UTC) + timedelta(seconds=1))
    assert gone.attempt_path(1, 1).read_bytes() == b"only here\n"
