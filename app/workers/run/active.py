"""What this process is working on now: so that the watcher can stop it, and nothing is left that nobody works on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from app.domain.errors import TransientError
from app.domain.runs import Run
from app.engines.base import Handle
from app.runtime.threads import start_in_thread
from app.store.claims import Claim
from app.workers.claims import claim_of
from app.workers.run.timers import Timers

R = TypeVar("R")


class StopRequested(TransientError):
    """A run is to end while something that its start needs is still waited for."""

    def __init__(self) -> None:
        super().__init__("It was told to end before it had started.")


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """A health check's: the container has to end, whatever its process does meanwhile."""

    at: datetime
    sentence: str


@dataclass
class ActiveRun:
    """A run with the handles of its containers. `run` is as it was when a container last started."""

    run: Run
    attempt: int
    on_change: Callable[[], None]
    handles: dict[int, Handle] = field(default_factory=dict)
    unhealthy: dict[int, HealthVerdict] = field(default_factory=dict)
    pointless: set[int] = field(default_factory=set)  # instances that go on for nothing: another one failed
    over: set[int] = field(default_factory=set)
    told_to_stop: set[int] = field(default_factory=set)
    told_to_die: set[int] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)
    _stopped: Future[Any] = field(default_factory=Future)

    def started(self, instance: int, handle: Handle, run: Run | None = None) -> None:
        self.run = run or self.run
        self.handles[instance] = handle
        self.on_change()

    def set_unhealthy(self, instance: int, verdict: HealthVerdict) -> None:
        """A health check failed: the instance is stopped."""
        self.unhealthy[instance] = verdict
        self.on_change()

    def ended(self, instance: int, *, failed: bool) -> None:
        """Note the end of an instance; where it failed, the attempt can't succeed any more."""
        self.over.add(instance)
        if failed and self.run.spec.instances > 1:
            self.pointless |= set(range(self.run.spec.instances)) - {instance}
            self.on_change()

    @property
    def running(self) -> dict[int, Handle]:
        """Containers that run, as far as is known."""
        return {
            instance: handle for instance, handle in list(self.handles.items()) if instance not in self.over
        }

    @property
    def wanted(self) -> dict[int, Handle]:
        """Return the instances that run and may go on."""
        ending = self.told_to_stop | self.unhealthy.keys()
        return {
            instance: handle
            for instance, handle in self.running.items()
            if instance not in ending and not self.stop_is_requested
        }

    def request_stop(self) -> None:
        self._stop.set()
        with suppress(InvalidStateError):
            self._stopped.set_result(None)

    def unless_stopped(self, name: str, call: Callable[[], R]) -> R:
        """Return what the call gives. Raises StopRequested once the run has to end; the call then goes on by itself."""
        called = start_in_thread(name, call)
        either: list[Future[Any]] = [called, self._stopped]
        wait(either, return_when=FIRST_COMPLETED)
        if not called.done():
            raise StopRequested
        return called.result()

    @property
    def stop_is_requested(self) -> bool:
        return self._stop.is_set()

    def pause(self, seconds: float) -> None:
        """Wait, but not past a request to stop."""
        self._stop.wait(seconds)


class Active:
    """All active runs; it may be used from any thread. `on_change` is called when there may be something to stop."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self.timers = Timers()
        self._runs: dict[Claim, ActiveRun] = {}  # of a run that was lost and came back there are two
        self._lock = threading.Lock()
        self._on_change = on_change

    @contextmanager
    def watching(self, run: Run, attempt: int) -> Iterator[ActiveRun]:
        active = ActiveRun(run, attempt, self._on_change)
        with self._lock:
            self._runs[claim_of(run)] = active
        self._on_change()  # its time limit is looked at from now on
        try:
            yield active
        finally:
            with self._lock:
                del self._runs[claim_of(run)]

    def all(self) -> list[ActiveRun]:
        with self._lock:
            return list(self._runs.values())
