"""A few threads that ask containers something, each container one thing at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from queue import SimpleQueue

log = logging.getLogger(__name__)


class Crew:
    """Daemon threads, started when there is first something to do; they never keep the server from ending.

    What takes long holds up its own key, and others only when all threads are taken: a key that is still
    waiting or being worked on is not given twice, so nothing piles up. `on_done` is called after each call.
    """

    def __init__(self, name: str, size: int, on_done: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._size = size
        self._on_done = on_done
        self._calls: SimpleQueue[tuple[Hashable, Callable[[], None]]] = SimpleQueue()
        self._busy: set[Hashable] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def give(self, key: Hashable, call: Callable[[], None]) -> bool:
        """Have it called soon; False, and nothing done, if the last call for the key is not over."""
        with self._lock:
            if key in self._busy:
                return False
            self._busy.add(key)
            if len(self._threads) < min(self._size, len(self._busy)):
                self._hire()
        self._calls.put((key, call))
        return True

    def is_busy(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._busy

    def _hire(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while True:
            key, call = self._calls.get()
            try:
                call()
            except Exception:
                log.exception("%s met a fault of Jobyard", self._name)
            finally:
                with self._lock:
                    self._busy.discard(key)
                self._on_done()
