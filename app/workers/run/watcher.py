"""Stops what has to end: cancelled runs and builds, runs past their time limit, instances that are unhealthy or go on
for nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from app.domain.errors import EngineUnavailable
from app.domain.runs import Cancel, Run, is_past_deadline
from app.engines.base import Engine, Handle
from app.runtime.ports import Clock
from app.store import builds, runs
from app.store.claims import Claim
from app.store.database import Database, StoreUnavailable
from app.workers.run.active import Active, ActiveRun

log = logging.getLogger(__name__)
LONGEST_LOOK, IDLE_LOOK = 2.0, 300.0  # seconds, while there is work here to be ended, and while there is none


@dataclass(frozen=True)
class Watcher:
    """Looks at what this process executes. Stopping takes a grace period, so it happens in threads of its own."""

    db: Database
    clock: Clock
    engine: Engine
    active: Active
    stopping_builds: Mapping[Claim, threading.Event]

    def step(self) -> float:
        """Stop what has to end now; returns the seconds until the next look is due."""
        now, ticks = self.clock.now(), self.clock.ticks()
        live = self.active.all()
        unheard: StoreUnavailable | None = None
        try:
            cancelled = self._cancelled(live)
        except StoreUnavailable as error:  # time limits hold without it
            cancelled, unheard = {}, error
        counted = {each.run.id: self.active.timers.as_counted(each.run, now, ticks) for each in live}
        for each in live:
            if cancelled.get(each.run.id) is Cancel.FORCED:
                each.request_stop()
                self._kill(each)
            elif each.run.id in cancelled or is_past_deadline(counted[each.run.id], now):
                each.request_stop()
                self._stop(each, set(each.handles))
            else:
                self._stop(each, (each.pointless | each.unhealthy.keys()) & each.handles.keys())
        if unheard is not None:
            raise unheard
        waits = [_seconds_left(each, counted[each.run.id], now) for each in live]
        longest = LONGEST_LOOK if live or self.stopping_builds else IDLE_LOOK
        return min([longest, *(left for left in waits if left is not None)])

    def _cancelled(self, live: Sequence[ActiveRun]) -> Mapping[int, Cancel]:
        """The runs whose end is asked for; builds are told here."""
        with self.db.read() as tx:
            for (build_id, _), event in list(self.stopping_builds.items()):
                if builds.cancel_is_requested(tx, build_id):
                    event.set()
            return runs.cancel_requested(tx, [each.run.id for each in live])

    def _stop(self, each: ActiveRun, instances: set[int]) -> None:
        for instance in instances - each.told_to_stop:
            each.told_to_stop.add(instance)
            self._in_thread(each, instance, each.run.spec.grace_period_seconds, each.told_to_stop)

    def _kill(self, each: ActiveRun) -> None:
        """Kill containers at once, also those that are being stopped with a grace period."""
        for instance in each.handles.keys() - each.told_to_die:
            each.told_to_die.add(instance)
            self._in_thread(each, instance, 0, each.told_to_die)

    def _in_thread(self, each: ActiveRun, instance: int, grace_seconds: float, told: set[int]) -> None:
        arguments = (each.handles[instance], grace_seconds, partial(told.discard, instance))
        threading.Thread(target=self._stop_one, args=arguments, daemon=True).start()

    def _stop_one(self, handle: Handle, grace_seconds: float, forget: Callable[[], None]) -> None:
        try:
            self.engine.stop(handle, grace_seconds)
        except EngineUnavailable as error:
            log.warning("container %s could not be stopped yet: %s", handle.name, error)
            forget()
        except Exception:
            log.exception("container %s could not be stopped yet", handle.name)
            forget()


def _seconds_left(each: ActiveRun, counted: Run, now: datetime) -> float | None:
    deadline = counted.deadline_at
    if deadline is None or each.stop_is_requested:
        return None
    return max((deadline - now).total_seconds(), 0.0)
