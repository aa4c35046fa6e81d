"""Where a log lies on disk, and the two shapes everything here shares.

    NAME.log              the first part: raw bytes from offset 0, as they came (after redaction)
    NAME.idx              one record per change of time or source, for NAME.log
    NAME.tail/OFFSET.log  later parts, each named by the offset of its first byte; the oldest go first
    NAME.tail/OFFSET.idx  likewise
    NAME.vitals/          health and metrics of the containers that wrote it
    NAME.pos              one record per source: how far it was written, for a writer that goes on after a crash
    NAME.copy             of a log that is in a bucket as well: how far the files here and the objects there agree

An **offset** counts every byte ever written to the log, kept or not, so it never changes its meaning: a part
that is dropped leaves a hole, and readers say how big it is. Nothing is moved or rewritten when a log ends.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

RECORD = struct.Struct("<QQBB")
POSITION = struct.Struct("<QQ")  # the end of the log, and how many bytes a source had said by then


class Record(NamedTuple):
    """An entry of the index: from `offset` on, bytes came at `micros` (since the epoch, UTC) from `stream` of
    `instance`.
    """

    offset: int
    micros: int
    stream: int
    instance: int

    @property
    def source(self) -> tuple[int, int]:
        return self.stream, self.instance


@dataclass(frozen=True, slots=True)
class Part:
    """A contiguous stretch of a log: its first offset and its two files."""

    start: int
    data: Path
    index: Path


def head_part(path: Path) -> Part:
    return Part(0, path, path.with_suffix(".idx"))


def positions_path(path: Path) -> Path:
    """Return the file that says how far each source has been written, from which a writer goes on after a crash."""
    return path.with_suffix(".pos")


def tail_directory(path: Path) -> Path:
    return path.with_suffix(".tail")


def vitals_directory(path: Path) -> Path:
    return path.with_suffix(".vitals")


def tail_part(path: Path, start: int) -> Part:
    data = tail_directory(path) / f"{start:020d}.log"
    return Part(start, data, data.with_suffix(".idx"))


def parts(path: Path) -> list[Part]:
    """Return all parts that exist, in order of offset. The head is listed even before its first byte."""
    directory = tail_directory(path)
    starts: list[int] = []
    if directory.is_dir():
        starts = sorted(int(data.stem) for data in directory.iterdir() if data.suffix == ".log")
    return [head_part(path), *(tail_part(path, start) for start in starts)]


def copy_path(path: Path) -> Path:
    return path.with_suffix(".copy")


def files(path: Path) -> list[Path]:
    """Return the files of the log at `path` but for its positions: data, then indexes, which tell of no less."""
    there = parts(path)
    vitals = vitals_directory(path)
    records = sorted(file for file in vitals.glob("*.*") if file.suffix != ".new")
    return [*(part.data for part in there), *(part.index for part in there), *records]


def remove_log(path: Path) -> None:
    """Delete every file of the log at `path`; what is gone already is no error."""
    head = head_part(path)
    shutil.rmtree(tail_directory(path), ignore_errors=True)
    shutil.rmtree(vitals_directory(path), ignore_errors=True)
    head.index.unlink(missing_ok=True)
    head.data.unlink(missing_ok=True)
    positions_path(path).unlink(missing_ok=True)
    copy_path(path).unlink(missing_ok=True)


def make_ours(path: Path) -> None:
    """Give every file of the log at `path` to who opens it next: a writer elsewhere that has them open changes only
    what nobody reads any more.
    """
    for file in (positions_path(path), *(file for part in parts(path) for file in (part.data, part.index))):
        if file.exists():
            fresh = file.with_name(f"{file.name}-new")
            shutil.copyfile(file, fresh)
            fresh.replace(file)


def decode_records(raw: bytes) -> Iterator[Record]:
    """Return the whole records in `raw`; a torn one at the end (still being written) is left out."""
    whole = len(raw) - len(raw) % RECORD.size
    return map(Record._make, RECORD.iter_unpack(raw[:whole]))
