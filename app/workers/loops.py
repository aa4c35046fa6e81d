"""Loops in threads: each does what is due, and sleeps until something is or its bell rings."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.errors import JobyardError
from app.runtime.disk import SAID_EVERY, WAITED_FOR
from app.runtime.ports import Clock
from app.runtime.signals import Signals, Waker
from app.runtime.turns import Turns

log = logging.getLogger(__name__)
FAULT_PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 5.0  # for loops to end when the server stops


@dataclass(frozen=True)
class Loop:
    """`look` does what is due, and returns for how many seconds to sleep if the waker does not end that earlier."""

    name: str
    waker: Waker
    look: Callable[[], float]


@dataclass
class LoopThreads:
    """The loops that go on, a thread each, until `stopping` is set."""

    clock: Clock
    signals: Signals
    turns: Turns
    stopping: threading.Event = field(default_factory=threading.Event)
    _bells: list[Waker] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _listening: ExitStack = field(default_factory=ExitStack)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _said_at: datetime | None = None

    def begin(self, loop: Loop, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Start a loop, which ends as well once `goes_on` says no."""
        if loop.waker not in self._bells:
            self._bells.append(loop.waker)
            self._listening.enter_context(self.signals.listening(loop.waker.hear))

        def work() -> None:
            while not self.stopping.is_set() and goes_on():
                loop.waker.wait(self._turn(loop))

        thread = threading.Thread(target=work, name=loop.name, daemon=True)
        thread.start()
        with self._lock:
            self._threads = [each for each in (*self._threads, thread) if each.is_alive()]

    def stop(self) -> None:
        """Ask the loops to end and wait a little."""
        self.stopping.set()
        for waker in self._bells:
            waker.ring()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(PATIENCE_SECONDS / len(threads))
        self._listening.close()

    def _turn(self, loop: Loop) -> float:
        """Look once, whatever becomes of it; returns for how many seconds to sleep."""
        is_faulty, seconds = False, FAULT_PAUSE_SECONDS
        try:
            seconds = loop.look()
        except WAITED_FOR as error:
            self._say(loop.name, error)
        except JobyardError as error:
            log.warning("%s: %s", loop.name, error)
        except Exception:
            log.exception("%s met a fault of Jobyard", loop.name)
            is_faulty = True
        self.turns.note(loop.name, self.clock.now(), failed=is_faulty)
        return seconds

    def _say(self, name: str, error: JobyardError) -> None:
        """Log an outage once in a while for all the loops, which meet the same one."""
        now = self.clock.now()
        with self._lock:
            if self._said_at is not None and abs(now - self._said_at) < SAID_EVERY:
                return
            self._said_at = now
        log.warning("%s: %s", name, error)
