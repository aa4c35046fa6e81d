"""Little room on a disk: clean-up hurries, then builds wait and say so, and what runs goes on."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from app import disk as disk_module
from app.domain.builds import BuildStatus
from app.domain.retention import Limits
from app.domain.room import Level
from app.domain.runs import RunStatus
from app.runtime.disk import Disk
from app.web.app import create_app
from app.web.server_context import ServerContext
from app.workers.retention import HURRIED_EVERY, RetentionWorker
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.past import retention
from tests.support.server_context import ADMIN_TOKEN

GIB = 2**30
BLOCK = 4096


class FreeSpace:
    """What the system says of each file system, by a directory on it; of all others it says the truth."""

    def __init__(self) -> None:
        self.free: dict[str, int] = {}

    def __call__(self, path: str | Path) -> object:
        free = next((free for place, free in self.free.items() if str(path).startswith(place)), None)
        if free is None:
            return os.statvfs(path)
        return SimpleNamespace(
            f_bavail=free // BLOCK,
            f_blocks=100 * GIB // BLOCK,
            f_frsize=BLOCK,
            f_files=10**7,
            f_favail=9 * 10**6,
        )


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> FreeSpace:
    space = FreeSpace()
    fake = SimpleNamespace(**{name: getattr(os, name) for name in ("strerror",)}, statvfs=space)
    monkeypatch.setattr(disk_module, "os", fake)
    return space


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    place = Installation(tmp_path / "place")
    yield place
    place.close()


def test_builds_wait_with_a_sentence_and_begin_when_there_is_room(
    place: Installation, free: FreeSpace
) -> None:
    room = Disk([place.root])
    server = place.server("one")
    server.builder, server.runner = replace(server.builder, disk=room), replace(server.runner, disk=room)
    place.job()
    place.push(None, commit("a"))
    server.intake.step()
    free.free[str(place.root)] = GIB
    room.step(place.clock)
    assert room.alarm is not None
    assert room.alarm.level is Level.SHORT
    assert not room.trouble
    assert not server.builder.step()
    assert not server.builder.step()
    (build,) = place.builds()
    assert build.status is BuildStatus.QUEUED
    assert build.sentence == f"Waits until there is room for 2.0 GiB in {place.root} (JOBYARD_DATA)."
    free.free[str(place.root)] = 3 * GIB
    room.step(place.clock)
    assert room.alarm.level is Level.LOW
    assert server.builder.step()
    assert server.runner.step()
    assert [build.sentence for build in place.builds()] == [""]
    assert [run.status for run in place.runs()] == [RunStatus.SUCCEEDED]


def test_the_engines_directory_counts_where_it_is_on_this_machine(
    place: Installation, free: FreeSpace, tmp_path: Path
) -> None:
    engine = tmp_path / "engine"
    engine.mkdir()
    free.free[str(engine)] = GIB // 2
    room = Disk([place.root], engine_directory=lambda: str(engine))
    room.step(place.clock)
    assert room.builds_wait == f"Waits until there is room for 2.0 GiB in {engine}."
    assert not room.refusal
    elsewhere = Disk([place.root], engine_directory=lambda: "/not/on/this/machine")
    elsewhere.step(place.clock)
    assert elsewhere.alarm is None


def test_a_disk_with_room_says_nothing(place: Installation) -> None:
    room = Disk([place.root])
    room.step(place.clock)
    assert room.builds_wait == ""


def test_clean_up_hurries_but_not_all_the_time(place: Installation) -> None:
    loop = RetentionWorker(place.db, place.clock, retention(place.db, place.root, Limits()))
    loop.step()
    loop.hurry()
    assert not loop.retention.hurried.is_set()
    place.clock.advance(HURRIED_EVERY.total_seconds())
    loop.hurry()
    assert loop.retention.hurried.is_set()
    loop.step()
    assert not loop.retention.hurried.is_set()


def test_readyz_and_every_page_say_so(context: ServerContext, free: FreeSpace, tmp_path: Path) -> None:
    room = Disk([tmp_path])
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    client = TestClient(create_app(replace(context, disk=room), nullcontext), headers=headers)
    assert client.get("/readyz").json()["disk"] == ""
    assert "Little room." not in client.get("/").text
    free.free[str(tmp_path)] = 4 * GIB
    room.step(context.clock)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    said = answer.json()["disk"]
    assert said == (
        f"The directory {tmp_path} has room for 4.0 GiB and 9,000,000 files more: what is beyond the limits of"
        " retention is removed now. JOBYARD_DATA names it."
    )
    page = client.get("/").text
    assert "<b>Little room.</b>" in page
    assert said in page


def test_a_worse_state_is_logged_at_once_and_the_same_one_once_an_hour(
    place: Installation, free: FreeSpace, caplog: pytest.LogCaptureFixture
) -> None:
    room = Disk([place.root])

    def logged(gib: float) -> list[str]:
        caplog.clear()
        free.free[str(place.root)] = int(gib * GIB)
        with caplog.at_level(logging.WARNING):
            room.step(place.clock)
        return [each.getMessage() for each in caplog.records]

    [low] = logged(4)
    assert "what is beyond the limits of retention is removed now" in low
    assert logged(3.9) == []
    [short] = logged(1)
    assert "builds wait until there is more" in short
    assert logged(4) == logged(1) == []  # to and fro around a mark
    [scarce] = logged(0.001)
    assert "is nearly full" in scarce
    [over] = logged(50)
    assert over == "there is room on the disk again: work goes on"


def test_a_directory_of_another_setting_is_told_by_that(place: Installation, tmp_path: Path) -> None:
    logs = tmp_path / "shared"
    room = Disk([tmp_path, logs], named={logs: "JOBYARD_LOG_STORE"})
    room.step(place.clock)
    assert f"The directory {logs} can't be written" in room.trouble
    assert room.trouble.endswith("JOBYARD_LOG_STORE names it.")
    logs.mkdir()
    room.step(place.clock)
    assert room.trouble == ""
