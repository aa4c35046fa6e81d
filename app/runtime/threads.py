"""Threads that deal with containers and never keep the server from ending: all of them are daemons."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from app.domain.errors import TransientError

log = logging.getLogger(__name__)


T = TypeVar("T")
R = TypeVar("R")


def map_in_threads(name: str, call: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Return what the call gives for each item, one thread an item. Raises, once all are over, what the first one
    raised.
    """
    if len(items) == 1:
        return [call(items[0])]
    results = [start_in_thread(f"{name}-{number}", partial(call, item)) for number, item in enumerate(items)]
    wait(results)
    return [result.result() for result in results]


def with_deadline(seconds: float, name: str, call: Callable[[], R]) -> R:
    """Return what the call gives. Raises TimeoutError once the time is over; the call then goes on, for nobody."""
    return start_in_thread(name, call).result(seconds)


def start_in_thread(name: str, call: Callable[[], R]) -> Future[R]:
    """The call, going on in a thread of its own."""
    called: Future[R] = Future()

    def work() -> None:
        try:
            called.set_result(call())
        except BaseException as error:
            called.set_exception(error)

    threading.Thread(target=work, name=name, daemon=True).start()
    return called


@contextmanager
def running_beside(name: str, call: Callable[[], object]) -> Iterator[None]:
    """Have something called while the block runs. Ends when both are over, and raises what the call raised."""
    called = start_in_thread(name, call)
    try:
        yield
    finally:
        called.result()


class KeyedThreadPool:
    """A few threads that ask containers something, started when there is first something to ask.

    What takes long holds up its own key, and others only when all threads are taken: a key that is still
    waiting or being worked on is not given twice, so nothing piles up. `on_done` is called after each call.
    """

    def __init__(self, name: str, size: int, on_done: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._size = size
        self.on_done = on_done
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
                self._add_thread()
        self._calls.put((key, call))
        return True

    def is_busy(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._busy

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while True:
            key, call = self._calls.get()
            try:
                call()
            except TransientError as error:
                log.warning("%s: %s", self._name, error)
            except Exception:
                log.exception("%s met a fault of Jobyard", self._name)
            finally:
                with self._lock:
                    self._busy.discard(key)
                self.on_done()


Background = Callable[[str, Callable[[], None]], None]


def in_thread(name: str, work: Callable[[], None]) -> None:
    threading.Thread(target=work, name=name, daemon=True).start()
