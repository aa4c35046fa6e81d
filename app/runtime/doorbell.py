"""Tells the other servers of a PostgreSQL what changed here, and those here what changed there, at once.

Nothing relies on it: what is lost is found by whoever looks from time to time.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Final

from app.runtime.signals import UNTOLD, Signals, Waker
from app.store.database import Database, StoreUnavailable
from app.store.doorbell import Listening, say

LISTEN_SECONDS: Final = 2.0  # at once: then somebody may want the loop to end
SILENT_SECONDS: Final = 300.0
BREATH_SECONDS: Final = 0.05  # what is said meanwhile is told together
MOST_TOPICS: Final = 150  # in one text


class Doorbell:
    """One of a server. `telling` rings when there is something to tell."""

    def __init__(self, db: Database, signals: Signals, server: str) -> None:
        self._db, self._signals, self._server = db, signals, server
        self._lock = threading.Lock()
        self._untold: set[str] = set()
        self._listening: Listening | None = None
        self.telling = Waker()
        signals.relay = self._collect

    def _collect(self, topics: frozenset[str]) -> None:
        with self._lock:
            self._untold |= topics
        self.telling.wake_one()

    def tell(self) -> float:
        """Tell what was collected; returns for how long to sleep if nothing comes. Raises StoreUnavailable."""
        with self._lock:
            topics, self._untold = sorted(self._untold), set()
        if topics:
            some = (topics[start : start + MOST_TOPICS] for start in range(0, len(topics), MOST_TOPICS))
            say(self._db, [json.dumps([self._server, *each]) for each in some])
            time.sleep(BREATH_SECONDS)
        return SILENT_SECONDS

    def listen(self) -> float:
        """Pass on what others tell, for a while. Raises StoreUnavailable; the next call connects anew."""
        try:
            if self._listening is None:
                self._listening = Listening(self._db)
                self._signals.tell_here(frozenset({UNTOLD}))
                return 0.0
            for text in self._listening.heard(LISTEN_SECONDS):
                server, *topics = json.loads(text)
                if server != self._server:
                    self._signals.tell_here(frozenset(topics))
        except StoreUnavailable:
            self.close()
            raise
        return 0.0

    def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
