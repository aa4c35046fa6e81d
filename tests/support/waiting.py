"""Waiting for what happens elsewhere, with a bound, and calls from many threads at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll until it holds; fail when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def stays(condition: Callable[[], bool], seconds: float) -> None:
    """It holds for so long, as often as it is asked; for what must not happen, and would in that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), "it did not stay so"
        time.sleep(0.05)


def together(count: int, call: Callable[[int], Any]) -> list[Any]:
    """The call from many threads at the same moment."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait(30)
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
