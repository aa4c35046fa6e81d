"""When each loop of this server came round last, and how often it met a fault of ours."""

from __future__ import annotations

import re
import threading
from collections import Counter
from datetime import datetime

_NUMBER = re.compile(r"-(?:\d+|hired)\Z")


class Turns:
    """Safe to use from any thread. Threads of a kind, such as runner-0 and runner-1, count as one loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[str, datetime] = {}
        self._faults: Counter[str] = Counter()

    def note(self, loop: str, at: datetime, *, failed: bool = False) -> None:
        name = _NUMBER.sub("", loop)
        with self._lock:
            self._at[name] = at
            self._faults[name] += failed

    def last(self) -> dict[str, datetime]:
        with self._lock:
            return dict(self._at)

    def faults(self) -> dict[str, int]:
        with self._lock:
            return dict(self._faults)
