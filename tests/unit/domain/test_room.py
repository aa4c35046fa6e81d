"""How little room is too little, and what is said of it."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from app.domain.room import Level, Room, builds_wait, little_room

MIB, GIB = 2**20, 2**30
DATA = PurePath("/data")


def of(free: float, total: float, files: int | None = None, total_files: int = 0) -> Room:
    return Room(int(free), files, int(total), total_files)


@pytest.mark.parametrize(
    ("room", "level"),
    [
        (of(6 * GIB, 1000 * GIB), Level.ENOUGH),
        (of(4.9 * GIB, 1000 * GIB), Level.LOW),
        (of(1.9 * GIB, 1000 * GIB), Level.SHORT),
        (of(7 * MIB, 1000 * GIB), Level.SCARCE),
        (of(2.1 * GIB, 20 * GIB), Level.ENOUGH),
        (of(1.9 * GIB, 20 * GIB), Level.LOW),
        (of(0.9 * GIB, 20 * GIB), Level.SHORT),
        (of(9 * MIB, 24 * MIB), Level.ENOUGH),
        (of(7 * MIB, 24 * MIB), Level.SCARCE),
        (of(90 * GIB, 100 * GIB, 60_000, 10**7), Level.ENOUGH),
        (of(90 * GIB, 100 * GIB, 40_000, 10**7), Level.LOW),
        (of(90 * GIB, 100 * GIB, 19_000, 10**7), Level.SHORT),
        (of(90 * GIB, 100 * GIB, 63, 10**7), Level.SCARCE),
        (of(90 * GIB, 100 * GIB, 900, 10_000), Level.LOW),
        (of(90 * GIB, 100 * GIB, None, 0), Level.ENOUGH),
    ],
)
def test_each_mark_is_a_share_of_the_disk_within_bounds(room: Room, level: Level) -> None:
    assert room.level is level


def test_what_is_said_of_little_room() -> None:
    low, short = of(1.9 * GIB, 20 * GIB), of(0.9 * GIB, 20 * GIB, 70_000, 10**6)
    assert little_room(DATA, "JOBYARD_DATA", low) == (
        "The directory /data has room for 1.9 GiB more: what is beyond the limits of retention is removed now."
        " JOBYARD_DATA names it."
    )
    assert little_room(DATA, "", short) == (
        "The directory /data has room for 921.6 MiB and 70,000 files more: builds wait until there is more, and what is"
        " beyond the limits of retention is removed now."
    )


def test_what_is_said_at_builds_stays_the_same() -> None:
    rooms = [of(free * GIB, 20 * GIB) for free in (0.9, 0.5)]
    assert {builds_wait(DATA, "JOBYARD_DATA", room) for room in rooms} == {
        "Waits until there is room for 1.0 GiB in /data (JOBYARD_DATA)."
    }
    assert builds_wait(DATA, "", of(90 * GIB, 100 * GIB, 900, 30_000)) == (
        "Waits until there is room for 1,500 files in /data."
    )
