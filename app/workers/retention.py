"""What is beyond the limits is removed, every hour and when it is asked for; beside other work, in small steps."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.commands.retention import Retention
from app.runtime.ports import Clock
from app.store import removal
from app.store.database import Database

log = logging.getLogger(__name__)
INTERVAL = timedelta(hours=1)
LONGEST_REST_SECONDS = 1.0


@dataclass
class RetentionWorker:
    """Rows are removed by one server at a time, files by each where they are. `rest` waits for seconds, or until the
    server stops.
    """

    db: Database
    clock: Clock
    retention: Retention
    stopping: threading.Event = field(default_factory=threading.Event)
    _done_at: datetime | None = None

    def step(self) -> None:
        """Do what is due, or asked for."""
        now, is_asked_for = self.clock.now(), self.retention.asked.is_set()
        self.retention.asked.clear()
        is_due = self._done_at is None or not timedelta(0) <= now - self._done_at < INTERVAL
        if not is_due and not is_asked_for:
            return
        self._done_at = now
        with self.db.write() as tx:
            is_first = removal.take_turn(tx, now, timedelta(0) if is_asked_for else INTERVAL)
        if is_first:
            self._remove_rows()
        removed = self.retention.sweep_logs(self._rest)
        if removed:
            log.info("removed the logs of %d runs and builds that are no more", removed)
        self._shorten_database()

    def _remove_rows(self) -> None:
        is_whole = False
        while not is_whole and not self.stopping.is_set():
            plan = self.retention.plan()
            is_whole = plan.is_whole
            removed = {
                kind: count for kind, count in self.retention.carry_out(plan, self._rest).items() if count
            }
            if not removed:
                return
            log.info(
                "removed what is beyond the limits of retention: %s",
                ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in removed.items()),
            )

    def _shorten_database(self) -> None:
        while not self.stopping.is_set() and self.db.give_back():
            self._rest(0.05)
        self.db.cut_log()

    def _rest(self, seconds: float) -> None:
        self.stopping.wait(min(seconds, LONGEST_REST_SECONDS))
