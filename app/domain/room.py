"""What is free on a disk, in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

SCARCE_BYTES = 8 * 2**20  # less is as good as full: what is under way needs it to come to its end
SCARCE_FILES = 64


@dataclass(frozen=True)
class Room:
    """Free on one file system; `files` is None where it sets no limit of them."""

    bytes: int
    files: int | None = None

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


def size(count: int) -> str:
    """A number of bytes for people: 812 bytes, 12.0 KiB, 3.4 GiB."""
    if count < 1024:
        return f"{count} bytes"
    number, units = count / 1024, iter(("KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    while number >= 1024 and unit != "TiB":
        number, unit = number / 1024, next(units)
    return f"{number:.1f} {unit}"
