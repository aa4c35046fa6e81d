"""Steps that block, taken in a thread beside the test."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.support.loops import Server


class InBackground:
    """A step that blocks as long as its container lives."""

    def __init__(self, step: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=step)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()


def stop_what_has_to_end(server: Server, run: InBackground) -> None:
    """As the watcher's loop: looks again until the run is over."""
    while run._thread.is_alive():
        server.watcher.step()
        run._thread.join(0.01)
