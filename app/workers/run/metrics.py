"""Takes the metrics of all containers that this process runs, every few seconds."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial

from app.domain.errors import EngineUnavailable
from app.engines.base import Engine, Handle
from app.runtime.log_storage import LogStorage
from app.runtime.ports import Clock
from app.runtime.telemetry import MetricsRecords, Vitals
from app.runtime.threads import KeyedThreadPool
from app.workers.run.active import Active

log = logging.getLogger(__name__)
IDLE_LOOK = 300.0  # seconds, without a container: the first one rings
FIRST_READING = timedelta(seconds=0.3)  # what is over before has no metrics worth the engine's time

Key = tuple[int, int, int]  # run, attempt, instance


@dataclass
class Meter:
    """A container whose next reading is due at a time. Its file is there from the first reading on."""

    handle: Handle
    vitals: Vitals
    instance: int
    due_at: datetime

    @cached_property
    def records(self) -> MetricsRecords:
        return self.vitals.write_metrics(self.instance)


@dataclass
class Sampler:
    """One loop for all of them; an engine that answers slowly is asked less often."""

    clock: Clock
    engine: Engine
    active: Active
    log_storage: LogStorage
    period: timedelta
    pool: KeyedThreadPool
    _meters: dict[Key, Meter] = field(default_factory=dict)

    def step(self) -> float:
        """Read what is due; returns the seconds until the next look is."""
        now = self.clock.now()
        self._install_and_remove(now)
        for key, meter in self._meters.items():
            if (
                meter.due_at <= now or meter.due_at - now > self.period + FIRST_READING
            ):  # or the clock was set back
                self.pool.give(key, partial(self._read, meter))
                meter.due_at = now + self.period
        waits = [(meter.due_at - now).total_seconds() for meter in self._meters.values()]
        return min([self.period.total_seconds(), *waits]) if waits else IDLE_LOOK

    def _install_and_remove(self, now: datetime) -> None:
        live = {
            (each.run.id, each.attempt, instance): handle
            for each in self.active.all()
            for instance, handle in each.running.items()
        }
        for key in self._meters.keys() - live.keys():
            del self._meters[key]
        for key in live.keys() - self._meters.keys():
            run, attempt, instance = key
            vitals = self.log_storage.vitals(run, attempt)
            self._meters[key] = Meter(live[key], vitals, instance, now + FIRST_READING)

    def _read(self, meter: Meter) -> None:
        try:
            sample = self.engine.stats(meter.handle)
        except EngineUnavailable as error:
            log.info("container %s could not be measured: %s", meter.handle.name, error)
            return
        if sample is not None:
            meter.records.append(sample)
