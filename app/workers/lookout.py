"""What the loops are not told of: commits of other processes, and a clock that was set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.runtime.ports import Clock
from app.runtime.signals import UNTOLD, Signals, Waker
from app.store.database import Database, Tx

LOOK_SECONDS = 2.0
STEP_SECONDS = 1.0  # that the clock may be corrected by between two looks


@dataclass
class Lookout:
    """Looks often and cheaply, so that loops may sleep until they are told of something or a time has come.

    One that sleeps is woken when something of its kind is open, not only when it is due: it works out the time.
    """

    db: Database
    clock: Clock
    signals: Signals = field(default_factory=Signals)
    _loops: list[tuple[Waker, Callable[[Tx], object]]] = field(default_factory=list)
    _offset: float | None = None  # of the clock from the one that nobody sets, in seconds

    def watch(self, waker: Waker, open_work: Callable[[Tx], object]) -> None:
        """Wake one of the waker's threads whenever anything has changed and there is open work."""
        self._loops.append((waker, open_work))

    def step(self) -> float:
        """Look once; returns the seconds until the next look is due. Raises StoreUnavailable."""
        if self._is_anything_new():
            self.signals.tell_here(frozenset({UNTOLD}))
            with self.db.read() as tx:
                woken = [waker for waker, open_work in self._loops if open_work(tx)]
            for waker in woken:
                waker.wake_one()
        return LOOK_SECONDS

    def _is_anything_new(self) -> bool:
        offset = self.clock.now().timestamp() - self.clock.ticks()
        was_set = self._offset is not None and abs(offset - self._offset) > STEP_SECONDS
        self._offset = offset
        return self.db.has_changed() or was_set
