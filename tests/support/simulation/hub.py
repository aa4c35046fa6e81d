"""Servers that work side by side in one thread: who goes on next is chosen, so that a history can be repeated.

A task is what a thread is in production. It goes on until it waits, or is made to stand still; then another one may.
`patched` puts this in the place of the threads that the loops start and of what they wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future
from contextlib import contextmanager, suppress
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from greenlet import getcurrent, greenlet

from app.domain.errors import JobyardError
from app.runtime import threads
from app.runtime.disk import Disk
from app.workers.run import active, container_life, watcher
from app.workers.run.patience import Patience
from tests.support.clock import START, Clock
from tests.support.mortal import Fuse, Killed

Ready = Callable[[], bool]


def always() -> bool:
    return True


class SimClock(Clock):
    """Moves 20 ms with every look at it, and says what machines that nobody sets would."""

    def __init__(self) -> None:
        super().__init__(look_seconds=0.02)

    def steady(self) -> float:
        """Seconds on the clock that nobody sets; looking takes no time."""
        return (self.at - self._set_by - START).total_seconds()

    def of_database(self) -> datetime:
        """The clock of a machine that nobody sets."""
        return self.at - self._set_by


class Task:
    """`fuse` is its server's, whose end it dies by. `kind` is the loop that it is of."""

    def __init__(self, fuse: Fuse, kind: str, call: Callable[[], object], parent: greenlet) -> None:
        self.fuse = fuse
        self.kind = kind
        self.ready: Ready = always
        self._call = call
        self._greenlet = greenlet(self._work, parent)

    def _work(self) -> None:
        with suppress(Killed, JobyardError):  # loops log what they meet, and look again later
            self._call()

    @property
    def is_over(self) -> bool:
        return bool(self._greenlet.dead)

    def go_on(self) -> None:
        self.ready = always
        self._greenlet.switch()

    def die(self) -> None:
        if self._greenlet:  # it has begun
            self._greenlet.throw(Killed)


class Hub:
    """All tasks of one history."""

    current: Hub

    def __init__(self, clock: SimClock) -> None:
        Hub.current = self
        self.clock = clock
        self.tasks: list[Task] = []
        self.running: Task | None = None
        self.transactions = 0  # open ones: who is in one is not made to wait
        self._main = getcurrent()

    # -- what histories do --

    def spawn(self, fuse: Fuse, kind: str, call: Callable[[], object]) -> Task:
        """It begins when it is first told to go on."""
        task = Task(fuse, kind, call, self._main)
        self.tasks.append(task)
        return task

    def go_on(self, task: Task) -> None:
        assert self.running is None
        self.running = task
        try:
            task.go_on()
        finally:
            self.running = None
        if task.is_over:
            self.tasks.remove(task)

    def kill(self, fuse: Fuse) -> None:
        for task in [each for each in self.tasks if each.fuse is fuse]:
            self.running = task
            try:
                task.die()
            finally:
                self.running = None
            self.tasks.remove(task)

    # -- what servers do --

    def wait(self, ready: Ready) -> None:
        task = self.running
        assert task is not None, "nobody else could make it ready"
        assert not self.transactions, "a transaction would be open for as long"
        while True:
            task.fuse.check()
            if ready():
                return
            task.ready = ready
            self._main.switch()

    def sleep(self, seconds: float, or_until: Ready = lambda: False) -> None:
        over_at = self.clock.steady() + seconds
        self.wait(lambda: self.clock.steady() >= over_at or or_until())

    def stand_still(self) -> None:
        """For as long as others are chosen to go on."""
        if self.running is not None and not self.transactions:
            self._main.switch()
            self.running.fuse.check()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.transactions += 1
        try:
            yield
        finally:
            self.transactions -= 1


class HubFuture(Future[Any]):
    def result(self, timeout: float | None = None) -> Any:
        Hub.current.wait(self.done)
        return super().result(0)


def start_in_thread(_name: str, call: Callable[[], Any]) -> Future[Any]:
    hub, called = Hub.current, HubFuture()

    def work() -> None:
        try:
            called.set_result(call())
        except BaseException as error:
            called.set_exception(error)

    assert hub.running is not None
    hub.spawn(hub.running.fuse, "beside", work)
    return called


def wait(futures: Iterable[Future[Any]], return_when: str = ALL_COMPLETED) -> None:
    enough = any if return_when == FIRST_COMPLETED else all
    waited_for = list(futures)
    Hub.current.wait(lambda: enough(each.done() for each in waited_for))


class HubThread:
    def __init__(self, target: Callable[..., object], args: tuple[Any, ...], daemon: bool) -> None:
        self._call = lambda: target(*args)

    def start(self) -> None:
        hub = Hub.current
        assert hub.running is not None
        hub.spawn(hub.running.fuse, "stop", self._call)


@contextmanager
def patched() -> Iterator[None]:
    """While this holds, what loops start and wait for goes by the current hub."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (threads, active):
            patch.setattr(module, "start_in_thread", start_in_thread)
            patch.setattr(module, "wait", wait)
        patch.setattr(watcher, "threading", SimpleNamespace(Thread=HubThread))
        patch.setattr(container_life, "FIRST_WORDS_SECONDS", 0)
        patch.setattr(Disk, "pause", lambda self: Hub.current.sleep(self.pause_seconds))
        patch.setattr(Patience, "pause", lambda _, seconds: Hub.current.sleep(seconds))
        patch.setattr(
            active.ActiveRun,
            "pause",
            lambda self, seconds: Hub.current.sleep(seconds, lambda: self.stop_is_requested),
        )
        yield
