"""Builds that must not overlap, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from builders.backends.registry_access import Access

POLL_SECONDS = 0.05
WAITING = (
    "Waiting for another build: it may ask the same registry for images as this one, but with another login."
)


@dataclass(eq=False)
class _Turn:
    access: Access


class Turns:
    """The builds of one process, in the order in which they came.

    A build waits for those that came before it and must not overlap with it, whether they build or wait themselves,
    and for no other: so nobody is overtaken for ever.

    Not covered: several servers on one engine, what a server that was killed left building, the moment that the
    engine needs to notice that a build was cancelled, and what BuildKit keeps: whoever knows the digest of an image
    that some build has pulled gets it without a login, then and later.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: list[_Turn] = []

    @contextmanager
    def turn(self, access: Access, say: Callable[[str], None], check: Callable[[], None]) -> Iterator[None]:
        """Hold the turn while building. If the build has to wait, this says so once; `check` is called meanwhile,
        and may raise.
        """
        mine = _Turn(access)
        with self._changed:
            self._line.append(mine)
        try:
            self._wait(mine, say, check)
            yield
        finally:
            with self._changed:
                self._line.remove(mine)
                self._changed.notify_all()

    def _wait(self, mine: _Turn, say: Callable[[str], None], check: Callable[[], None]) -> None:
        with self._changed:
            if self._may_start(mine):
                return
        say(WAITING)
        while True:
            check()
            with self._changed:
                if self._may_start(mine):
                    return
                self._changed.wait(POLL_SECONDS)

    def _may_start(self, mine: _Turn) -> bool:
        earlier = self._line[: self._line.index(mine)]
        return all(each.access.may_overlap(mine.access) for each in earlier)
