"""A small file of JSON lines beside a log, such as an attempt's metrics: appended to, and thinned when it is long."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Record = list[Any]
Thin = Callable[[Sequence[Record]], Sequence[Record]]


class Records:
    """One writer's view of the file at `path`; going on after another writer is fine.

    With more than `limit` lines, `thin` says which records, or which in their place, are kept: fewer than `limit`.
    What the disk has no room for is kept here, and written with the next record that it has room for.
    """

    def __init__(self, path: Path, limit: int, thin: Thin) -> None:
        self._path = path
        self._limit = limit
        self._thin = thin
        self._kept = read_records(path)
        self._is_whole = False  # whether the file has all of them
        self._write(None)

    @property
    def all(self) -> Sequence[Record]:
        return tuple(self._kept)

    def append(self, record: Record) -> None:
        self._kept.append(record)
        if len(self._kept) > self._limit:
            self._kept = list(self._thin(self._kept))
            self._is_whole = False
        self._write(record)

    def _write(self, record: Record | None) -> None:
        was_whole, self._is_whole = self._is_whole, False
        try:
            if was_whole and record is not None:
                with self._path.open("a") as file:
                    file.write(_line(record))
            else:
                self._write_whole()
        except OSError:
            return
        self._is_whole = True

    def _write_whole(self) -> None:
        """Replace the file at once, so that readers never see half of it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text("".join(map(_line, self._kept)))
        fresh.replace(self._path)


def read_records(path: Path) -> list[Record]:
    """Return every whole line; none if there is no such file. A torn one at the end is left out."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _line(record: Record) -> str:
    return json.dumps(record, separators=(",", ":")) + "\n"
