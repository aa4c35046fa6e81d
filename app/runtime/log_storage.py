"""Where the log of every build and attempt lies on disk, and word of what is appended to it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from app.disk import size_of
from app.domain.redaction import Redactor
from app.domain.retention import Kind
from app.logs import LogReader, LogWriter, RunLog, Selection
from app.logs.copies import Copies, LogsUnavailable
from app.logs.layout import make_ours, remove_log, vitals_directory
from app.runtime.signals import Signals
from app.runtime.telemetry import Vitals

log = logging.getLogger(__name__)
TOKENS_OF_ERA = 10**8
ELSEWHERE = (
    "This log is on the disk of the server that wrote it, unless it was removed: with JOBYARD_LOG_STORE set to a "
    "shared volume or a bucket, every server shows every log."
)
WRITING = "logs-written"  # the topic of who copies logs to a bucket


@dataclass(frozen=True)
class LogStorage:
    """One append-only file per build and per attempt, below `root`.

    Other servers may have the same files (`is_shared`), or read from a bucket what is written here (`copies`), or
    there are none (`is_alone`). A log is written under the token of a claim; `era` counts the times that the database
    was put back, since when tokens come again.
    """

    root: Path
    signals: Signals
    cap_bytes: int
    is_shared: bool = False
    copies: Copies | None = None
    is_alone: bool = True
    era: int = 0
    _open: dict[Path, frozenset[str]] = field(default_factory=dict)  # here, with their topics

    def build_path(self, build_id: int) -> Path:
        return self.root / "builds" / f"{build_id // 1000:06d}" / f"{build_id}.log"

    def attempt_path(self, run_id: int, number: int) -> Path:
        return self.root / "runs" / f"{run_id // 1000:06d}" / str(run_id) / f"{number}.log"

    def write_build(
        self, build_id: int, redactor: Redactor, *, token: int = 0, anew: bool = False
    ) -> LogWriter:
        topic = f"log:build:{build_id}"
        return self._writer(self.build_path(build_id), redactor, topic, token, anew=anew)

    def write_attempt(
        self, run_id: int, number: int, redactor: Redactor, *, token: int = 0, anew: bool = False
    ) -> LogWriter:
        topic = f"log:run:{run_id}"
        return self._writer(self.attempt_path(run_id, number), redactor, topic, token, anew=anew)

    def read_build(self, build_id: int, selection: Selection | None = None) -> RunLog:
        return RunLog([self.build_reader(build_id)], selection)

    def read_run(self, run_id: int, attempts: int, selection: Selection | None = None) -> RunLog:
        """All attempts so far, one after the other."""
        return RunLog([self.reader(run_id, number + 1) for number in range(attempts)], selection)

    def read_attempt(self, run_id: int, number: int, selection: Selection | None = None) -> RunLog:
        return RunLog([self.reader(run_id, number)], selection)

    def reader(self, run_id: int, number: int) -> LogReader:
        return self._reader(self.attempt_path(run_id, number))

    def build_reader(self, build_id: int) -> LogReader:
        return self._reader(self.build_path(build_id))

    def _reader(self, path: Path) -> LogReader:
        return LogReader(path, None if self.copies is None else self.copies.fetch)

    def is_written_here(self, topic: str) -> bool:
        """Return whether this process writes a log of the topic, and so tells of each piece of it."""
        return any(topic in topics for topics in self._open.copy().values())

    def is_elsewhere(self, path: Path) -> bool:
        """Return whether a log that was begun is one that another server keeps for itself, or was removed."""
        return not (self.is_alone or self.is_shared or self.copies or path.exists())

    def vitals(self, run_id: int, number: int) -> Vitals:
        """The health and metrics of an attempt's containers."""
        path = self.attempt_path(run_id, number)
        if self.copies is not None:
            self.copies.fetch(path)
        return Vitals(vitals_directory(path))

    def store_copies(self) -> bool:
        """Store in the bucket what is new of the logs that are written here, and tell others of it; False if none is.

        Raises LogsUnavailable: what is left is stored with a later call.
        """
        if self.copies is None:
            return False
        self.copies.finish_rest()
        for path in self.copies.written:
            topics = self._open.get(path)
            if topics is None:
                self.copies.finish(path)
            elif self.copies.store(path):
                self.signals.tell_others(topics)
        return bool(self.copies.written)

    def drop_unread(self, since: datetime) -> None:
        """Remove the files here that the bucket has and nobody has read since then."""
        if self.copies is not None:
            self.copies.drop_unread(since)

    def stored(self, kind: Kind) -> Iterator[list[int]]:
        """Ids of the runs or builds that have files here, ascending: of some thousand at a time."""
        root = self._folder(kind)
        folders = {folder.name for folder in root.glob("[0-9]*")}
        if self.copies is not None:
            folders |= set(self.copies.folders(root.name))
        for folder in (root / name for name in sorted(folders)):
            names = {entry.name.partition(".")[0] for entry in folder.glob("*")}
            if self.copies is not None:
                names |= set(self.copies.folders(f"{root.name}/{folder.name}"))
            ids = sorted(int(name) for name in names if name.isdecimal())
            if ids:
                yield ids
            else:
                with suppress(OSError):  # somebody writes the first one there
                    folder.rmdir()

    def remove(self, kind: Kind, id_: int) -> None:
        """Delete all files of a run or build; what is gone already is no error."""
        folder = self._log_folder(kind, id_)
        if kind is Kind.RUNS:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            remove_log(self.build_path(id_))
        if self.copies is not None:
            self.copies.remove(str(folder.relative_to(self.root)))

    def holds(self, kind: Kind, id_: int) -> bool:
        """Return whether the log of a run or build is here to be removed: others' files are theirs to remove."""
        return self.copies is not None or self.size(kind, id_) > 0

    def size(self, kind: Kind, id_: int) -> int:
        """Bytes that the files of a run or build take on the disk."""
        if kind is Kind.RUNS:
            return size_of(self._log_folder(kind, id_))
        path = self.build_path(id_)
        return sum(size_of(each) for each in path.parent.glob(f"{path.stem}.*"))

    def _log_folder(self, kind: Kind, id_: int) -> Path:
        """Where a run's logs are; for a build the name that its files begin with."""
        return self.attempt_path(id_, 1).parent if kind is Kind.RUNS else self.build_path(id_).with_suffix("")

    def _folder(self, kind: Kind) -> Path:
        return self.root / ("runs" if kind is Kind.RUNS else "builds")

    def _writer(self, path: Path, redactor: Redactor, topic: str, token: int, *, anew: bool) -> LogWriter:
        """`anew`: nothing was written for it before. What is there is of another's with the same id, which an older
        copy of the database makes possible, and would be taken for its own."""
        term = self.era * TOKENS_OF_ERA + token
        with nullcontext() if self.copies is None else self.copies.opening(path, term, anew=anew):
            if anew:
                remove_log(path)
            elif self.is_shared and path not in self._open:
                make_ours(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = self._open_writer(path, redactor, frozenset({topic}))
        self._open[path] = frozenset({topic})
        self.signals.tell_here(frozenset({WRITING}))
        return writer

    def _open_writer(self, path: Path, redactor: Redactor, topics: frozenset[str]) -> LogWriter:
        # Others are told of what they can read, which with a bucket is so when it was stored.
        tell = self.signals.publish if self.copies is None else self.signals.tell_here
        return LogWriter(
            path,
            redactor=redactor,
            cap_bytes=self.cap_bytes,
            on_append=lambda: tell(topics),
            on_close=partial(self._closed, path),
        )

    def _closed(self, path: Path) -> None:
        topics = self._open.pop(path, frozenset())
        if self.copies is None:
            return
        try:
            self.copies.finish(path)
        except LogsUnavailable as error:
            log.warning("the end of the log %s is stored later: %s", path, error)
        self.signals.tell_others(topics)
