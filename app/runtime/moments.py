"""Moments for what many do at the same interval, so that they don't all do it at once."""

from __future__ import annotations

import threading
from typing import Final

_GOLDEN: Final = 0.618034  # of one after the other of these, none comes close to another for long


class Moments:
    """Parts of an interval, one for each who asks, from 0 up to 1. Safe to ask from several threads."""

    def __init__(self) -> None:
        self._part = 0.0
        self._lock = threading.Lock()

    def next(self) -> float:
        with self._lock:
            self._part = (self._part + _GOLDEN) % 1
            return self._part
