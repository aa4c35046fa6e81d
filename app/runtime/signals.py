"""Word of committed changes. A lost signal costs a poll, never work: the rows are the truth."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[frozenset[str]], None]
UNTOLD = "untold"  # something has changed of which there may have been no word


class Signals:
    """Publishes topics (`runs`, `run:7`, `log:run:7`) to whoever listens; listeners must not block.

    `relay` tells other servers, and must not block either.
    """

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.Lock()
        self.relay: Listener | None = None

    def publish(self, topics: frozenset[str]) -> None:
        """Tell everybody, in this process and in others."""
        self.tell_here(topics)
        self.tell_others(topics)

    def tell_here(self, topics: frozenset[str]) -> None:
        """Tell those in this process."""
        for listener in self._listeners:
            listener(topics)

    def tell_others(self, topics: frozenset[str]) -> None:
        """Tell the other servers, where there are any."""
        if self.relay is not None:
            self.relay(topics)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        with self._lock:
            self._listeners = (*self._listeners, listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners = tuple(each for each in self._listeners if each is not listener)


class Waker:
    """Lets threads sleep until one of its topics rings, or a time has passed.

    Several workers may share one: a topic wakes one of them, and whoever then takes work makes it ring for the next.
    """

    def __init__(self, *topics: str) -> None:
        self._topics = frozenset(topics)
        self._rings = threading.Condition()
        self._has_rung = False

    def hear(self, topics: frozenset[str]) -> None:
        if topics & self._topics:
            self.wake_one()

    def wake_one(self) -> None:
        """Wake one of those who share it, as a topic does."""
        with self._rings:
            self._has_rung = True
            self._rings.notify()

    def ring(self) -> None:
        """Wake everybody."""
        with self._rings:
            self._has_rung = True
            self._rings.notify_all()

    def wait(self, seconds: float) -> bool:
        """Sleep; returns whether it was woken, be it before the call."""
        with self._rings:
            if not self._has_rung:
                self._rings.wait(seconds)
            was_woken, self._has_rung = self._has_rung, False
            return was_woken
