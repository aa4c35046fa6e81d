"""Has what is new of logs stored where other servers read them, and removes what lies here for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.runtime.log_storage import LogStorage
from app.runtime.ports import Clock

STORED_EVERY: Final = 0.3  # seconds, while a log is written
KEPT_UNREAD: Final = timedelta(days=1)
SWEPT_EVERY: Final = timedelta(hours=1)


@dataclass
class LogCopier:
    """Copies the logs of this server to the bucket."""

    clock: Clock
    log_storage: LogStorage
    _swept_at: datetime | None = None

    def step(self) -> float:
        """Store what is new; returns for how long to sleep if no log is begun. Raises LogsUnavailable."""
        now = self.clock.now()
        if self._swept_at is None or now - self._swept_at > SWEPT_EVERY:
            self._swept_at = now
            self.log_storage.drop_unread(now - KEPT_UNREAD)
        return STORED_EVERY if self.log_storage.store_copies() else SWEPT_EVERY.total_seconds()
