"""What is new in the files of a log, as one stream of bytes, and how another copy of it becomes the same.

    a line of JSON: [[name, first byte, number of bytes], …] and the names of files that are gone; then the bytes

A file is cut to the first byte before what is new is appended: who took a log over may have begun by dropping some.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Final, NamedTuple
from zlib import crc32

from app.buckets import Sink
from app.logs.layout import files, positions_path

AT_ONCE: Final = 1024 * 1024


class Extent(NamedTuple):
    """How far a file is known: it is another one when its number is another, and one with 0 is always written anew."""

    inode: int
    size: int
    changed: int  # tells one content from another

    @classmethod
    def of(cls, file: Path) -> Extent:
        status = file.stat()
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


Known = Mapping[str, Extent]  # by the names of files, from the log's folder on


class Look(NamedTuple):
    """The files of a log at one moment. The positions were read before the others were looked at, so that all they
    tell of is in those.
    """

    positions: bytes
    files: dict[str, Extent]


def look(path: Path) -> Look:
    """Look at the log at `path`."""
    positions = _content(positions_path(path))
    found = {positions_path(path).name: Extent(0, len(positions), crc32(positions))}
    for file in files(path):
        with suppress(FileNotFoundError):  # the oldest part was dropped
            found[str(file.relative_to(path.parent))] = Extent.of(file)
    return Look(positions, found)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


class Stretch(NamedTuple):
    name: str
    start: int
    size: int


@dataclass(frozen=True)
class Delta:
    """What is new of the log whose first part is at `path`."""

    path: Path
    positions: bytes
    stretches: tuple[Stretch, ...]
    gone: tuple[str, ...]

    @property
    def size(self) -> int:
        return sum(each.size for each in self.stretches)

    def write(self, sink: Sink) -> None:
        """Raises FileNotFoundError if a part was dropped since."""
        with ExitStack() as stack:
            opened = [stack.enter_context(self._open(each.name)) for each in self.stretches]
            sink.write(json.dumps([self.stretches, self.gone]).encode() + b"\n")
            for file, each in zip(opened, self.stretches, strict=True):
                _copy(file, sink, each.start, each.size)

    def _open(self, name: str) -> IO[bytes]:
        is_positions = name == positions_path(self.path).name
        return BytesIO(self.positions) if is_positions else (self.path.parent / name).open("rb")


def delta(path: Path, before: Known, now: Look, *, cuts: bool = False) -> Delta | None:
    """Return what is new since the files were known so; None if nothing is. `cuts`: files may have become shorter."""
    stretches = []
    for name, extent in now.files.items():
        start = _first_new_byte(before.get(name), extent)
        if cuts or before.get(name) != extent:
            stretches.append(Stretch(name, start, extent.size - start))
    gone = tuple(name for name in before if name not in now.files)
    return Delta(path, now.positions, tuple(stretches), gone) if stretches or gone else None


def _first_new_byte(before: Extent | None, now: Extent) -> int:
    if before is None or not now.inode or before.inode != now.inode or before.size > now.size:
        return 0
    return before.size


def shortened(known: Known, now: Look) -> dict[str, Extent]:
    """What is known of files of which some were cut since."""
    return {
        name: extent._replace(size=min(extent.size, now.files[name].size)) if name in now.files else extent
        for name, extent in known.items()
    }


def apply(folder: Path, stream: IO[bytes]) -> None:
    """Make the files of a log what the delta says. Raises ValueError if they are not what it goes on from."""
    stretches, gone = json.loads(stream.readline())
    for name, start, size in stretches:
        _write(_inside(folder, name), start, size, stream)
    for name in gone:
        _inside(folder, name).unlink(missing_ok=True)


def _inside(folder: Path, name: str) -> Path:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{name} is not in the folder of its log")
    return folder / name


def _write(file: Path, start: int, size: int, stream: IO[bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    there = file.stat().st_size if file.exists() else 0
    if start > there:
        raise ValueError(f"{file.name} has {there} bytes, and {start} were expected")
    if start == there:
        with file.open("ab") as appended:
            _copy(stream, appended, None, size)
        return
    fresh = file.with_name(f"{file.name}.new")  # readers never see it without what they saw before
    with fresh.open("wb") as written:
        if start:
            with file.open("rb") as old:
                _copy(old, written, 0, start)
        _copy(stream, written, None, size)
    fresh.replace(file)


def _copy(source: IO[bytes], sink: Sink, start: int | None, size: int) -> None:
    if start is not None:
        source.seek(start)
    while size:
        piece = source.read(min(size, AT_ONCE))
        if not piece:
            raise ValueError("it ends before it should")
        sink.write(piece)
        size -= len(piece)
