"""The oldest logs of a project go where all of its logs together take more than they may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge

from app.domain.retention import Kind
from app.runtime.log_storage import LogStorage
from app.store import kept_logs
from app.store.database import Database
from app.store.kept_logs import KeptLog

BATCH = 100  # logs that are looked for at once


@dataclass(frozen=True)
class LogLimits:
    """`log_storage` has the logs of this server: those of others are theirs to drop."""

    db: Database
    log_storage: LogStorage
    batch: int = BATCH

    def keep(self, is_stopping: Callable[[], bool]) -> int:
        """Drop logs until each project is within its limit; how many went. Rows stay, and what is not over."""
        with self.db.read() as tx:
            beyond = kept_logs.beyond_limit(tx)
        return sum(self._drop(project, excess, is_stopping) for project, excess in beyond.items())

    def _drop(self, project_id: int, excess: int, is_stopping: Callable[[], bool]) -> int:
        number = 0
        by_end = merge(
            *(self._oldest(project_id, kind) for kind in kept_logs.TABLES), key=lambda log: log.ended_at
        )
        for log in by_end:
            if excess <= 0 or is_stopping():
                break
            if not self.log_storage.holds(log.kind, log.id):
                continue
            self.log_storage.remove(log.kind, log.id)
            with self.db.write() as tx:
                kept_logs.measured(tx, log.kind, log.id, 0)
            excess, number = excess - log.bytes, number + 1
        return number

    def _oldest(self, project_id: int, kind: Kind) -> Iterator[KeptLog]:
        last = 0
        while True:
            with self.db.read() as tx:
                found = kept_logs.oldest(tx, project_id, kind, last, self.batch)
            yield from found
            if len(found) < self.batch:
                return
            last = found[-1].id
