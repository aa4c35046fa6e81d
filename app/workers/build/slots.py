"""How many builds are made at once, not counting those that wait for their Git servers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LENT_AFTER_SECONDS = 0.05
POLL_SECONDS = 0.1


class Slots:
    """Places to build in. Whoever waits for something else for long lends its place to others meanwhile.

    `lent_out` says how many do so now; `on_lent` is told of each.
    """

    def __init__(self, number: int) -> None:
        self.on_lent: Callable[[], None] = lambda: None
        self.lent_out = 0
        self._free = number
        self._returning = 0  # those who lent theirs come before new ones
        self._changed = threading.Condition()

    def take(self, patience_seconds: float) -> bool:
        """A place, as soon as one is free that nobody waits to have back; False if none is for so long."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._free > self._returning, patience_seconds):
                return False
            self._free -= 1
            return True

    def give_back(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    @contextmanager
    def lent(self, should_stop: Callable[[], bool]) -> Iterator[None]:
        """Lend the place to others where the block takes longer than a moment; it is taken back afterwards.

        Whoever should stop waits for nothing any more, even if there is one at work too many for the rest of it.
        """
        was_lent = threading.Event()

        def lend() -> None:
            was_lent.set()
            with self._changed:
                self.lent_out += 1
            self.give_back()
            self.on_lent()

        timer = threading.Timer(LENT_AFTER_SECONDS, lend)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            if was_lent.is_set():
                self._take_back(should_stop)

    def _take_back(self, should_stop: Callable[[], bool]) -> None:
        with self._changed:
            self.lent_out -= 1
            self._returning += 1
            while self._free <= 0 and not should_stop():
                self._changed.wait(POLL_SECONDS)
            self._returning -= 1
            self._free -= 1
