"""A full disk: running jobs go on, nothing is concluded or taken on, and work goes on by itself when there is room."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.builds import BuildStatus
from app.domain.runs import RunStatus
from app.engines.fake import Script
from app.logs import LogWriter, Stream
from app.runtime.disk import Disk
from tests.support.clock import START
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.waiting import eventually

A = commit("a")
LINES = b"".join(b"line %05d of what the job says\n" % number for number in range(2000))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def place(disk: SmallDisk) -> Iterator[Installation]:
    place = Installation(disk.path / "place")
    yield place
    place.close()


@pytest.fixture
def server(place: Installation, disk: SmallDisk) -> Server:
    server = place.server("one")
    room = Disk([disk.path], pause_seconds=0.02)
    server.runner, server.builder = replace(server.runner, disk=room), replace(server.builder, disk=room)
    server.reconcile()
    return server


@contextmanager
def beside(step: Callable[[], object]) -> Iterator[None]:
    """The step waits for what the block does."""
    thread = threading.Thread(target=step, daemon=True)
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("instances", [1, 2])
def test_a_run_waits_with_its_output_and_ends_as_it_ended(
    place: Installation, server: Server, disk: SmallDisk, instances: int
) -> None:
    place.job(instances=instances, retry_limit=2)
    place.engine.script("run-*", Script(exit_code=None))
    place.push(None, A)
    server.intake.step()
    server.builder.step()
    keys = [f"run-1-1-{number}" for number in range(instances)]
    with beside(server.runner.step):
        eventually(lambda: all(place.engine.starts(key) for key in keys))
        disk.fill()
        for key in keys:
            place.engine.emit(key, LINES)
        eventually(lambda: server.runner.disk.trouble)
        for key in keys:
            place.engine.finish(key, 0)
        assert place.runs()[0].status is RunStatus.RUNNING
        assert str(disk.path) in server.runner.disk.trouble
        assert "bytes" in server.runner.disk.trouble
        disk.make_room()
    (run,) = place.runs()
    assert (run.status, run.exit_code) == (RunStatus.SUCCEEDED, 0)
    said = place.attempt_log(run, 1)
    assert said == LINES if instances == 1 else sorted(said.splitlines()) == sorted(2 * LINES.splitlines())
    assert [place.engine.starts(key) for key in keys] == [1] * instances


def test_a_build_goes_on_and_its_log_has_a_gap(place: Installation, server: Server, disk: SmallDisk) -> None:
    place.job()
    place.push(None, A)
    server.intake.step()
    place.backend.before_end[A] = [lambda _: disk.fill()]
    with beside(server.builder.step):
        eventually(lambda: disk.ballast.exists() and place.backend.built[A])
        disk.make_room()
    (build,) = place.builds()
    assert (build.status, build.tries) == (BuildStatus.SUCCEEDED, 0)


def test_a_build_that_finds_no_room_is_no_try(place: Installation, server: Server, disk: SmallDisk) -> None:
    place.job()
    place.push(None, A)
    server.intake.step()
    for _ in range(4):
        place.repository.faults = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(disk.path / "x"))]
        server.builder.step()
        (build,) = place.builds()
        assert (build.status, build.tries) == (BuildStatus.QUEUED, 0)
        assert str(disk.path) in build.sentence
        assert build.sentence.endswith("It is built again then.")
        place.clock.advance(30)
        assert not server.builder.step()  # it is known that there is no room
        server.builder.disk.step(place.clock)
    assert server.builder.step()
    assert place.builds()[0].status is BuildStatus.SUCCEEDED


def test_what_a_log_lacks_is_written_once_there_is_room(disk: SmallDisk) -> None:
    path = disk.path / "logs" / "1.log"
    with LogWriter(path) as log:
        log.write(START, Stream.STDOUT, b"before\n")
        disk.fill()
        with pytest.raises(OSError, match="No space"):
            log.write(START, Stream.STDOUT, LINES)
        with pytest.raises(OSError, match="No space"):
            log.note(START, "later")
        log.abandon()
    disk.make_room()
    with LogWriter(path) as log:
        seen = log.seen(0)
        assert seen is not None
        log.write(START, Stream.STDOUT, (b"before\n" + LINES)[seen.stdout_bytes :])
    assert path.read_bytes() == b"before\n" + LINES
