"""The clock and the names of all installations that tests make."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


class Clock:
    """Stands still until a test moves it. Where each look takes some seconds it moves by as many, as if every step
    took a moment. It tells real time while `at` is None.
    """

    def __init__(self, at: datetime | None = START, *, look_seconds: float = 0.0) -> None:
        self.at = at
        self._look = timedelta(seconds=look_seconds)
        self._set_by = timedelta(0)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            if self.at is None:
                return datetime.now(UTC)
            self.at += self._look
            return self.at

    def ticks(self) -> float:
        if self.at is None:
            return time.monotonic()
        return (self.now() - self._set_by - START).total_seconds()

    def advance(self, seconds: float = 0, **by: float) -> None:
        """Time passes: seconds, or what `timedelta` takes."""
        with self._lock:
            assert self.at is not None
            self.at += timedelta(seconds=seconds, **by)

    def set_by(self, seconds: float) -> None:
        """Somebody sets the clock, forward or back."""
        with self._lock:
            assert self.at is not None
            self.at += timedelta(seconds=seconds)
            self._set_by += timedelta(seconds=seconds)


def ticking() -> Clock:
    """A clock that moves 20 ms with every look at it."""
    return Clock(look_seconds=0.02)


class Names:
    """Suffixes in order: 00001, 00002, … after as many as were given before."""

    def __init__(self, given: int = 0) -> None:
        self.given = given

    def suffix(self) -> str:
        self.given += 1
        return f"{self.given:05d}"
