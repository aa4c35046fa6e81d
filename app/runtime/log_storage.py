"""Where the log of every build and attempt lies on disk, and word of what is appended to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.domain.redaction import Redactor
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

    def read_build(self, build_id: int) -> RunLog:
        return RunLog([self.build_path(build_id)])

    def read_run(self, run_id: int, attempts: int, selection: Selection | None = None) -> RunLog:
        """All attempts so far, one after the other."""
        return RunLog([self.attempt_path(run_id, number + 1) for number in range(attempts)], selection)

    def read_attempt(self, run_id: int, number: int, selection: Selection | None = None) -> RunLog:
        return RunLog([self.attempt_path(run_id, number)], selection)

    def reader(self, run_id: int, number: int) -> LogReader:
        return LogReader(self.attempt_path(run_id, number))

    def vitals(self, run_id: int, number: int) -> Vitals:
        """The health and metrics of an attempt's containers."""
        return Vitals(vitals_directory(self.attempt_path(run_id, number)))

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
