"""Where the log of every build and attempt lies on disk, and word of what is appended to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.disk import size_of
from app.domain.redaction import Redactor
from app.domain.retention import Kind
from app.logs import LogReader, LogWriter, RunLog, Selection
from app.logs.layout import remove_log, vitals_directory
from app.runtime.signals import Signals
from app.runtime.telemetry import Vitals


@dataclass(frozen=True)
class LogStorage:
    """One append-only file per build and per attempt, below `root`."""

    root: Path
    signals: Signals
    cap_bytes: int

    def build_path(self, build_id: int) -> Path:
        return self.root / "builds" / f"{build_id // 1000:06d}" / f"{build_id}.log"

    def attempt_path(self, run_id: int, number: int) -> Path:
        return self.root / "runs" / f"{run_id // 1000:06d}" / str(run_id) / f"{number}.log"

    def write_build(self, build_id: int, redactor: Redactor, *, anew: bool = False) -> LogWriter:
        return self._writer(self.build_path(build_id), redactor, f"log:build:{build_id}", anew=anew)

    def write_attempt(self, run_id: int, number: int, redactor: Redactor, *, anew: bool = False) -> LogWriter:
        return self._writer(self.attempt_path(run_id, number), redactor, f"log:run:{run_id}", anew=anew)

    def read_build(self, build_id: int, selection: Selection | None = None) -> RunLog:
        return RunLog([self.build_path(build_id)], selection)

    def read_run(self, run_id: int, attempts: int, selection: Selection | None = None) -> RunLog:
        """All attempts so far, one after the other."""
        return RunLog([self.attempt_path(run_id, number + 1) for number in range(attempts)], selection)

    def read_attempt(self, run_id: int, number: int, selection: Selection | None = None) -> RunLog:
        return RunLog([self.attempt_path(run_id, number)], selection)

    def reader(self, run_id: int, number: int) -> LogReader:
        return LogReader(self.attempt_path(run_id, number))

    def build_reader(self, build_id: int) -> LogReader:
        return LogReader(self.build_path(build_id))

    def vitals(self, run_id: int, number: int) -> Vitals:
        """The health and metrics of an attempt's containers."""
        return Vitals(vitals_directory(self.attempt_path(run_id, number)))

    def stored(self, kind: Kind) -> Iterator[list[int]]:
        """Ids of the runs or builds that have files here, ascending: of some thousand at a time."""
        for folder in sorted(self._folder(kind).glob("[0-9]*")):
            names = {entry.name.partition(".")[0] for entry in folder.iterdir()}
            ids = sorted(int(name) for name in names if name.isdecimal())
            if ids:
                yield ids
            else:
                with suppress(OSError):  # somebody writes the first one there
                    folder.rmdir()

    def remove(self, kind: Kind, id_: int) -> None:
        """Delete all files of a run or build; what is gone already is no error."""
        if kind is Kind.RUNS:
            shutil.rmtree(self.attempt_path(id_, 1).parent, ignore_errors=True)
        else:
            remove_log(self.build_path(id_))

    def size(self, kind: Kind, id_: int) -> int:
        """Bytes that the files of a run or build take on the disk."""
        if kind is Kind.RUNS:
            return size_of(self.attempt_path(id_, 1).parent)
        path = self.build_path(id_)
        return sum(size_of(each) for each in path.parent.glob(f"{path.stem}.*"))

    def _folder(self, kind: Kind) -> Path:
        return self.root / ("runs" if kind is Kind.RUNS else "builds")

    def _writer(self, path: Path, redactor: Redactor, topic: str, *, anew: bool) -> LogWriter:
        """`anew`: nothing was written for it before. What is there is of another's with the same id, which an older
        copy of the database makes possible, and would be taken for its own."""
        if anew:
            remove_log(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        topics = frozenset({topic})
        return LogWriter(
            path,
            redactor=redactor,
            cap_bytes=self.cap_bytes,
            on_append=lambda: self.signals.publish(topics),
        )
