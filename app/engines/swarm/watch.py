"""One look at all services of an installation for everybody who waits for one of them.

A manager's events tell of services, and nothing of their tasks: so it is asked, as often as somebody waits, and not at
all while nobody does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from app.domain.errors import EngineUnavailable
from app.engines.swarm.tasks import Service, is_silent

CLOSING = "Jobyard is closing its connection to the Swarm; containers are left alone."
LOOK_SECONDS = 0.5  # between two looks, for those who wait for an end
_SOON_SECONDS = 0.1  # and for those who wait for a start


class Watch:
    """`look` asks for all services. The thread that does begins with the first question."""

    def __init__(self, look: Callable[[], Mapping[str, Service]]) -> None:
        self._look = look
        self._changed = threading.Condition()
        self._seen: Mapping[str, Service] = {}
        self._trouble: EngineUnavailable | None = None
        self._begun = self._done = 0  # looks
        self._wanted = 0  # the look that somebody waits for at once
        self._pauses: list[float] = []  # of those who wait, in seconds
        self._ends: list[tuple[str, Callable[[], None]]] = []
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def now(self, service_id: str) -> Service | None:
        """Return a service as a look finds it that begins after this call. Raises EngineUnavailable."""
        return self.until(service_id, lambda _: True)

    def until(
        self,
        service_id: str,
        is_so: Callable[[Service | None], bool],
        timeout_seconds: float | None = None,
        *,
        soon: bool = False,
    ) -> Service | None:
        """Return a service once a look that begins after this call finds it so, or after the time as it is then.

        Raises EngineUnavailable where the manager does not answer.
        """
        with self._waiting(_SOON_SECONDS if soon else LOOK_SECONDS), self._changed:
            first = self._ask()

            def is_over() -> bool:
                seen = self._done >= first and (self._trouble or is_so(self._seen.get(service_id)))
                return bool(seen) or self._is_closed

            self._changed.wait_for(is_over, timeout_seconds)
            if self._is_closed:
                raise EngineUnavailable(CLOSING)
            if self._done >= first and self._trouble:
                raise EngineUnavailable(str(self._trouble)) from self._trouble
            return self._seen.get(service_id)

    @contextmanager
    def calling_at_end(self, service_id: str, call: Callable[[], None]) -> Iterator[None]:
        """Call once, from another thread, when there is nothing more to be read of a service, or no word of it."""
        entry = (service_id, call)
        with self._waiting(LOOK_SECONDS):
            with self._changed:
                self._ends.append(entry)
                self._ask()
            try:
                yield
            finally:
                with self._changed:
                    if entry in self._ends:
                        self._ends.remove(entry)

    def look_again(self) -> None:
        """Have those who wait see whether what they wait for is so."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @contextmanager
    def _waiting(self, seconds: float) -> Iterator[None]:
        with self._changed:
            self._pauses.append(seconds)
            if self._thread is None:
                self._thread = threading.Thread(target=self._go_on, name="swarm-watch", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._pauses.remove(seconds)

    def _ask(self) -> int:
        """Have a look made at once; return its number."""
        self._wanted = self._begun + 1
        self._changed.notify_all()
        return self._wanted

    def _go_on(self) -> None:
        while self._next():
            try:
                seen, trouble = self._look(), None
            except EngineUnavailable as error:
                seen, trouble = {}, error
            self._tell(seen, trouble)

    def _next(self) -> bool:
        """Wait until a look is due; False when there is none any more."""
        with self._changed:
            if self._begun >= self._wanted:
                self._changed.wait_for(
                    lambda: self._is_closed or self._begun < self._wanted, min(self._pauses, default=None)
                )
            while not (self._is_closed or self._pauses):
                self._changed.wait()
            self._begun += 1
            return not self._is_closed

    def _tell(self, seen: Mapping[str, Service], trouble: EngineUnavailable | None) -> None:
        with self._changed:
            self._seen, self._trouble = seen, trouble
            self._done += 1
            over = [each for each in self._ends if trouble or is_silent(seen.get(each[0]))]
            self._ends = [each for each in self._ends if each not in over]
            self._changed.notify_all()
        for _, call in over:
            call()
