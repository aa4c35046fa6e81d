"""Logs of several servers in one bucket: each is written to a server's own files first, and others read a copy of them.

Whoever writes a log stores what is new of it as one more object (`chain`, `deltas`), some times a second; whoever reads
another's fetches what they lack. A bucket that is out of reach holds up no job: what it lacks is stored later.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from app import buckets
from app.buckets import Bucket, Stored
from app.domain.errors import DiskUnavailable, UserError
from app.logs.chain import Link, still_to_come
from app.logs.deltas import Delta, Extent, Known, apply, delta, look, shortened
from app.logs.layout import copy_path, remove_log

log = logging.getLogger(__name__)
ASKED_EVERY: Final = 0.2  # seconds between two questions for what is new of a log
AT_ONCE: Final = 8 * 2**20  # bytes of an object that is in memory as a whole
MOST_OBJECTS: Final = 16  # of a log that is over
LOCKS: Final = 32
MOST_REMEMBERED: Final = 1000
UNSTORED: Final = "unstored"  # names the logs that the bucket may lack something of


class LogsUnavailable(DiskUnavailable):
    """The bucket of the logs gives no answer."""

    def __init__(self, root: Path, said: object) -> None:
        super().__init__(root, "JOBYARD_LOG_STORE", str(said))


@dataclass(frozen=True)
class _Copy:
    """How far files and objects agree. What is `known` was stored by us; None if it was fetched."""

    term: int
    last: Link | None
    known: Known | None = None
    cuts: bool = False  # whether files may have become shorter since
    count: int = 0  # of our objects

    def to_json(self) -> str:
        return json.dumps([self.term, self.last and self.last.name, self.known, self.cuts, self.count])

    @classmethod
    def from_json(cls, text: str) -> _Copy:
        term, last, known, cuts, count = json.loads(text)
        extents = known and {name: Extent(*extent) for name, extent in known.items()}
        return cls(term, last and Link.of(last), extents, cuts, count)


class Copies:
    """Of the logs below `root`, in a bucket below `place`, whose name is empty or ends with a slash."""

    def __init__(self, root: Path, bucket: Bucket, place: Stored) -> None:
        self._root, self._place = root, place
        self._bucket = replace(bucket, patience=10, tries=2)
        self._locks = [threading.RLock() for _ in range(LOCKS)]
        self._written: dict[Path, _Copy] = {}  # those that are written here
        self._asked: dict[Path, float] = {}

    def is_written_here(self, path: Path) -> bool:
        return path in self._written

    @property
    def written(self) -> Sequence[Path]:
        return list(self._written)

    # --- writing

    @contextmanager
    def opening(self, path: Path, term: int, *, anew: bool) -> Iterator[None]:
        """Let a writer open the log in the block: it goes on with what is stored, unless it begins `anew`.

        Raises LogsUnavailable where what is stored can't be had.
        """
        with self._lock(path):
            copy = self._written.get(path) or self._taken_up(path, term, anew=anew)
            yield
            copy = replace(copy, term=term, known=shortened(copy.known or {}, look(path)), cuts=True)
            self._mark(path).parent.mkdir(exist_ok=True)
            self._mark(path).touch()
            self._note(path, copy)
            self._written[path] = copy

    def _taken_up(self, path: Path, term: int, *, anew: bool) -> _Copy:
        if anew:
            return _Copy(term, None)
        self._fetch(path)
        fetched = self._noted(path)
        if fetched is None or fetched.last is None:
            return _Copy(term, None)
        return _Copy(term, fetched.last, look(path).files)

    def store(self, path: Path) -> bool:
        """Store what is new of a log that is written here; False if nothing is. Raises LogsUnavailable."""
        with self._lock(path), self._reached():
            copy = self._written.get(path)
            if copy is None:
                return False
            now = look(path)
            new = delta(path, copy.known or {}, now, cuts=copy.cuts)
            if new is None:
                return False
            link = Link(copy.term, 1, None) if copy.last is None else copy.last.next(copy.term)
            try:
                self._put(path, link, new)
            except (
                FileNotFoundError,
                ValueError,
            ):  # a part was dropped as it was read: the next call looks again
                return True
            copy = _Copy(copy.term, link, now.files, False, copy.count + 1)
            self._written[path] = copy
            self._note(path, copy)
            return True

    def finish(self, path: Path) -> None:
        """Store the rest of a log that nobody writes any more, as few objects. Raises LogsUnavailable."""
        with self._lock(path), self._reached():
            self.store(path)
            copy = self._written.get(path)
            if copy is None:
                return
            if copy.last is not None and copy.count > MOST_OBJECTS:
                copy = self._made_whole(path, copy, copy.last)
            self._let_go(path, copy)

    def _let_go(self, path: Path, copy: _Copy) -> None:
        self._note(path, replace(copy, known=None))
        self._written.pop(path, None)
        self._mark(path).unlink(missing_ok=True)

    def _made_whole(self, path: Path, copy: _Copy, last: Link) -> _Copy:
        """Store the log as one object instead of many."""
        whole = delta(path, {}, look(path))
        if whole is None:
            return copy
        link = Link(copy.term, last.number + 1, None)
        self._put(path, link, whole)
        for name in buckets.names(self._bucket, self._folder(path)):
            if name < link.name:
                buckets.remove(self._bucket, self._object(path, name))
        return _Copy(copy.term, link)

    def finish_rest(self) -> None:
        """Store what the bucket lacks since an earlier server on these files was killed. Raises LogsUnavailable."""
        marks = self._root / UNSTORED
        for mark in sorted(marks.iterdir()) if marks.is_dir() else ():
            path = self._root / unquote(mark.name)
            with self._lock(path):
                if path not in self._written:
                    self._finish_rest(path)
                    mark.unlink(missing_ok=True)

    def _finish_rest(self, path: Path) -> None:
        copy = self._noted(path)
        if copy is None or copy.known is None or not path.exists():
            return
        with self._reached():
            newer = self._names(path, copy.last)
        if any(Link.of(name).term != copy.term for name in newer):  # somebody else has gone on with it
            self._let_go(path, copy)
            return
        self._written[path] = copy
        try:
            self.finish(path)
        finally:
            self._written.pop(path, None)

    # --- reading

    def fetch(self, path: Path) -> None:
        """Fetch what is new of a log that another server writes. Raises LogsUnavailable, if nothing of it is here."""
        now = time.monotonic()
        if path in self._written or now - self._asked.get(path, -ASKED_EVERY) < ASKED_EVERY:
            return
        with self._lock(path):
            if path in self._written:
                return
            try:
                self._fetch(path)
            except LogsUnavailable as error:
                if not path.exists():
                    raise
                log.warning("the log %s may lack its end: %s", path, error)
            if len(self._asked) > MOST_REMEMBERED:
                self._asked.clear()
            self._asked[path] = time.monotonic()
            with suppress(FileNotFoundError):
                os.utime(copy_path(path))

    def drop_unread(self, since: datetime) -> None:
        """Remove the files here of logs that nobody has read or written since then: the bucket has them."""
        for noted in self._root.glob("*/*/**/*.copy"):
            path = noted.with_suffix(".log")
            with self._lock(path), suppress(FileNotFoundError):
                copy = self._noted(path)
                is_stored = copy is not None and copy.known is None
                if is_stored and noted.stat().st_mtime < since.timestamp():
                    remove_log(path)

    def _fetch(self, path: Path) -> None:
        self._finish_rest(path)
        with self._reached():
            copy = self._noted(path)
            last = None if copy is None else copy.last
            to_come = still_to_come(self._names(path, last), last)
            try:
                if to_come is None:
                    raise ValueError("it begins with another object")
                self._append(path, to_come)
            except ValueError:
                remove_log(path)
                self._append(path, still_to_come(self._names(path, None), None) or ())

    def _append(self, path: Path, links: Sequence[Link]) -> None:
        for link in links:
            path.parent.mkdir(parents=True, exist_ok=True)
            with buckets.download(self._bucket, self._object(path, link.name)) as stream:
                apply(path.parent, stream)
            self._note(path, _Copy(link.term, link))

    def remove(self, folder: str) -> None:
        """Remove the objects of the logs in a folder below the root, or of one log. Raises LogsUnavailable."""
        with self._reached():
            buckets.remove_below(self._bucket, replace(self._place, name=f"{self._place.name}{folder}/"))

    def folders(self, folder: str) -> Iterator[str]:
        """The names of what is stored right in a folder below the root. Raises LogsUnavailable."""
        with self._reached():
            place = replace(self._place, name=f"{self._place.name}{folder}/")
            yield from buckets.folders(self._bucket, place)

    # --- both

    def _names(self, path: Path, last: Link | None) -> list[str]:
        return buckets.names(self._bucket, self._folder(path), last.name if last else "")

    def _put(self, path: Path, link: Link, new: Delta) -> None:
        place = self._object(path, link.name)
        if new.size > AT_ONCE:
            buckets.upload(self._bucket, place, new.write)
            return
        content = BytesIO()
        new.write(content)
        buckets.put(self._bucket, place, content.getvalue())

    def _folder(self, path: Path) -> Stored:
        name = path.relative_to(self._root).with_suffix("")
        return replace(self._place, name=f"{self._place.name}{name}/")

    def _object(self, path: Path, name: str) -> Stored:
        folder = self._folder(path)
        return replace(folder, name=f"{folder.name}{name}")

    def _noted(self, path: Path) -> _Copy | None:
        with suppress(OSError, ValueError):
            return _Copy.from_json(copy_path(path).read_text())
        return None

    def _note(self, path: Path, copy: _Copy) -> None:
        fresh = copy_path(path).with_suffix(".copy-new")
        fresh.write_text(copy.to_json())
        fresh.replace(copy_path(path))

    def _mark(self, path: Path) -> Path:
        return self._root / UNSTORED / quote(str(path.relative_to(self._root)), safe="")

    def _lock(self, path: Path) -> threading.RLock:
        return self._locks[hash(path) % LOCKS]

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            raise LogsUnavailable(self._root, error) from error
