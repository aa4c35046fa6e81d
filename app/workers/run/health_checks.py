"""Asks the health checks of all containers that this process runs, and has those stopped that fail them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from app.domain.errors import EngineUnavailable
from app.domain.health import Health
from app.engines.base import Engine, Handle
from app.runtime.log_storage import LogStorage
from app.runtime.ports import Clock
from app.runtime.telemetry import HealthRecords
from app.runtime.threads import KeyedThreadPool
from app.store import run_attempts
from app.store.database import Database
from app.workers.run.active import Active, ActiveRun, HealthVerdict
from app.workers.run.probes import probe

log = logging.getLogger(__name__)
LONGEST_LOOK, IDLE_LOOK = 60.0, 300.0  # seconds, with checks and without; whatever changes earlier rings

Key = tuple[int, int, int]  # run, attempt, instance


@dataclass
class MonitoredContainer:
    """A container with checks."""

    active: ActiveRun
    instance: int
    handle: Handle
    health: Health
    records: HealthRecords


@dataclass
class HealthChecks:
    """One loop for all of them. Have the pool ring when it is done: the next look may be due earlier than said."""

    db: Database
    clock: Clock
    engine: Engine
    active: Active
    log_storage: LogStorage
    pool: KeyedThreadPool
    _monitored: dict[Key, MonitoredContainer] = field(default_factory=dict)

    def step(self) -> float:
        """Ask what is due; returns the seconds until the next look is."""
        now = self.clock.now()
        self._admit_and_dismiss(now)
        waits = [LONGEST_LOOK if self._monitored else IDLE_LOOK]
        for key, monitored in self._monitored.items():
            due = monitored.health.next_at
            if due is None or self.pool.is_busy(key):
                continue
            if due <= now or due - now > monitored.health.longest_wait:  # or the clock was set back
                self.pool.give(key, partial(self._examine, monitored))
            else:
                waits.append((due - now).total_seconds())
        return min(waits)

    def _admit_and_dismiss(self, now: datetime) -> None:
        live = {
            (each.run.id, each.attempt, instance): (each, handle)
            for each in self.active.all()
            if each.run.spec.health_checks
            for instance, handle in each.wanted.items()
        }
        for key in self._monitored.keys() - live.keys():
            del self._monitored[key]
        for key in live.keys() - self._monitored.keys():
            each, handle = live[key]
            try:
                self._monitored[key] = self._admit(each, key[2], handle, now)
            except Exception:  # it does not keep the others from being asked
                log.exception("the health checks of container %s could not begin", handle.name)

    def _admit(self, each: ActiveRun, instance: int, handle: Handle, now: datetime) -> MonitoredContainer:
        """Monitor a container, beginning with what another server found before it ended."""
        records = self.log_storage.vitals(each.run.id, each.attempt).write_health(instance)
        health = Health(each.run.spec.health_checks, now, records.tallies)
        monitored = MonitoredContainer(each, instance, handle, health, records)
        if health.unhealthy is not None:
            self._judge(monitored, health.unhealthy)
        return monitored

    def _examine(self, monitored: MonitoredContainer) -> None:
        check = monitored.health.open_check
        assert check is not None
        try:
            answer = probe(self.engine, monitored.handle, check, self.clock.now)
        except EngineUnavailable as error:
            log.info("container %s could not be probed: %s", monitored.handle.name, error)
            answer = None
        if answer is None:
            monitored.health = monitored.health.postpone(self.clock.now())
        else:
            monitored.health = monitored.health.observe(answer)
            if monitored.health.unhealthy is not None:
                self._judge(monitored, monitored.health.unhealthy)
            monitored.records.append(check.type, monitored.health.tally(check.type))

    def _judge(self, monitored: MonitoredContainer, sentence: str) -> None:
        """Stored before it is acted on, so that it holds whoever sees the container end."""
        now, each = self.clock.now(), monitored.active
        try:
            with self.db.write() as tx:
                run_attempts.container_unhealthy(
                    tx, each.run, each.attempt, monitored.instance, sentence, now
                )
        finally:
            each.set_unhealthy(monitored.instance, HealthVerdict(now, sentence))
