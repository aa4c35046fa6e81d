"""The last lines of the log that the status of a commit is about, masked as they are in the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.logs.tail import last_lines
from app.runtime.log_storage import LogStorage
from app.store import run_attempts
from app.store.commit_statuses import Status
from app.store.database import Database


@dataclass(frozen=True)
class LogTails:
    db: Database
    log_storage: LogStorage

    def __call__(self, status: Status) -> Sequence[str]:
        """Of the run that it follows, its last attempt; else of the build; none where there is no log any more."""
        if status.run_id is not None:
            with self.db.read() as tx:
                attempts = run_attempts.attempts_of(tx, status.run_id)
            return last_lines(self.log_storage.reader(status.run_id, attempts[-1].number)) if attempts else ()
        if status.build_id is None:
            return ()
        return last_lines(self.log_storage.build_reader(status.build_id))
