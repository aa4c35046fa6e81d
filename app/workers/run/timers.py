"""How long runs have been going, as their time limits count it: however the clock is set meanwhile."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime, timedelta

from app.domain.runs import Run

MOST = 10_000  # runs that are remembered; what is over is forgotten sooner


class Timers:
    """Wall times only tell what had passed when this process first saw a run; from then on a steady clock counts."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, tuple[timedelta, float]] = OrderedDict()
        self._lock = threading.Lock()

    def as_counted(self, run: Run, now: datetime, ticks: float) -> Run:
        """The run as if it had been started by today's clock: `now` less what has really passed since.

        `ticks` are seconds on a clock that nobody sets.
        """
        if run.first_started_at is None:
            return run
        with self._lock:
            had_passed, seen_at = self._seen.setdefault(
                run.id, (max(now - run.first_started_at, timedelta(0)), ticks)
            )
            if len(self._seen) > MOST:
                self._seen.popitem(last=False)
        return replace(run, first_started_at=now - had_passed - timedelta(seconds=ticks - seen_at))

    def forget(self, run_id: int) -> None:
        with self._lock:
            self._seen.pop(run_id, None)
