"""How long a run goes on asking an engine that doesn't answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from app.runtime.ports import Clock

LONGEST_QUESTION = (
    120.0  # seconds; more than an engine's time limits, so that one that took longer was answered
)


@dataclass
class Patience:
    """So many seconds without an answer.

    While the engine is known to be down they don't pass, unless the run is to end: nothing could be done instead, and
    what runs there may go on well.
    """

    clock: Clock
    seconds: float
    engine_is_up: Callable[[], bool]
    _asked_at: float = 0.0
    _over_at: float | None = None

    def ask(self) -> None:
        """The engine is about to be asked."""
        self._asked_at = self.clock.ticks()

    def is_over(self, *, is_to_end: bool) -> bool:
        """Return whether it was asked in vain for long enough, now that it gave no answer."""
        if not (is_to_end or self.engine_is_up()):
            self._over_at = None
            return False
        now = self.clock.ticks()
        if self._over_at is None or now - self._asked_at > LONGEST_QUESTION:
            self._over_at = now + self.seconds
        return now >= self._over_at

    def pause(self, seconds: float) -> None:
        """Wait before the engine is asked again, also for a run that is to end, as nobody else can tell of its end."""
        threading.Event().wait(seconds)

    @property
    def left(self) -> float | None:
        """Seconds at most; None while that has no end."""
        return self.seconds if self.engine_is_up() else None
