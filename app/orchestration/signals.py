"""Word of committed changes inside this process. A lost signal costs a poll, never work: the rows are the truth."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[frozenset[str]], None]


class Signals:
    """Publishes topics (`runs`, `run:7`, `log:run:7`) to whoever listens; listeners must not block."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.Lock()

    def publish(self, topics: frozenset[str]) -> None:
        for listener in self._listeners:
            listener(topics)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        with self._lock:
            self._listeners = (*self._listeners, listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners = tuple(each for each in self._listeners if each is not listener)


class Bell:
    """Lets one thread sleep until one of its topics rings, or a time has passed."""

    def __init__(self, *topics: str) -> None:
        self._topics = frozenset(topics)
        self._event = threading.Event()

    def hear(self, topics: frozenset[str]) -> None:
        if topics & self._topics:
            self._event.set()

    def ring(self) -> None:
        self._event.set()

    def wait(self, seconds: float) -> None:
        self._event.wait(seconds)
        self._event.clear()
