"""What is free on a disk, in words."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import PurePath

SCARCE_BYTES = 8 * 2**20  # less is as good as full: what is under way needs it to come to its end
SCARCE_FILES = 64


class Level(enum.IntEnum):
    """How little is free: each level has what those before it have."""

    ENOUGH = 0
    LOW = 1  # what may be removed is removed at once
    SHORT = 2  # no build begins
    SCARCE = 3  # nothing new is accepted


@dataclass(frozen=True)
class Mark:
    """Less than a share of the whole is too little, but never asks for more than so much, nor for less than SCARCE."""

    share: float
    bytes: int
    files: int

    def room_of(self, room: Room) -> Room:
        """Return how much has to be free on a file system as large as that of `room`."""
        needed_bytes = min(self.bytes, int(self.share * room.total_bytes))
        needed_files = min(self.files, int(self.share * room.total_files))
        return Room(max(needed_bytes, SCARCE_BYTES), max(needed_files, SCARCE_FILES))


MARKS = {
    Level.SHORT: Mark(0.05, 2 * 2**30, 20_000),
    Level.LOW: Mark(0.10, 5 * 2**30, 50_000),
}


@dataclass(frozen=True)
class Room:
    """Free on one file system, and how much there is in all; `files` is None where it sets no limit of them."""

    bytes: int
    files: int | None = None
    total_bytes: int = 0
    total_files: int = 0

    @property
    def level(self) -> Level:
        if self.is_scarce:
            return Level.SCARCE
        return next(
            (level for level, mark in MARKS.items() if self._is_below(mark.room_of(self))), Level.ENOUGH
        )

    def _is_below(self, needed: Room) -> bool:
        lacks_files = self.files is not None and self.files < (needed.files or 0)
        return self.bytes < needed.bytes or lacks_files

    @property
    def is_scarce(self) -> bool:
        return self.bytes < SCARCE_BYTES or self.has_few_files

    @property
    def has_few_files(self) -> bool:
        return self.files is not None and self.files < SCARCE_FILES

    def __str__(self) -> str:
        files = f" and {self.files:,} more files" if self.has_few_files else ""
        return f"{size(self.bytes)}{files}"


def no_room(directory: PurePath, setting: str, room: Room | None, said: str) -> str:
    """The sentence about a directory that can't be written, or hardly; `said` is the system's word for it, if any."""
    free = f", with room for {room}" if room is not None else ""
    if room is not None and room.is_scarce:
        what, advice = "is full" if said else "is nearly full", "make room"
    else:
        what, advice = f"can't be written ({said})", "mend that"
    return (
        f"The directory {directory} {what}{free}: {advice}, and work goes on by itself. {setting} names it."
    )


def little_room(directory: PurePath, setting: str, room: Room) -> str:
    """The sentence about a directory in which little is free, though not yet too little to go on."""
    files = "" if room.files is None else f" and {room.files:,} files"
    what = "what is beyond the limits of retention is removed now"
    if room.level >= Level.SHORT:
        what = f"builds wait until there is more, and {what}"
    named = f" {setting} names it." if setting else ""
    return f"The directory {directory} has room for {size(room.bytes)}{files} more: {what}.{named}"


def builds_wait(directory: PurePath, setting: str, room: Room) -> str:
    """The sentence for a build that waits, the same as long as it waits for this."""
    needed = MARKS[Level.SHORT].room_of(room)
    lacks_files = room.files is not None and room.files < (needed.files or 0)
    what = f"{needed.files:,} files" if lacks_files else size(needed.bytes)
    named = f" ({setting})" if setting else ""
    return f"Waits until there is room for {what} in {directory}{named}."


def size(count: int) -> str:
    """A number of bytes for people: 812 bytes, 12.0 KiB, 3.4 GiB."""
    if count < 1024:
        return f"{count} bytes"
    number, units = count / 1024, iter(("KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    while number >= 1024 and unit != "TiB":
        number, unit = number / 1024, next(units)
    return f"{number:.1f} {unit}"
