"""Alarms of a server: of its disk, and of its container engine, as the loops that look at them found.

What comes and goes is told once: an alarm begins when something has been amiss for a while, and is over when it has
been well for a longer one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.runtime.disk import Disk
from app.runtime.engine_health import EngineHealth
from app.runtime.ports import Clock
from app.store import alarms
from app.store.database import Database

DISK, ENGINE = "disk", "engine"
BEGINS_AFTER: Mapping[str, timedelta] = {DISK: timedelta(0), ENGINE: timedelta(minutes=1)}
OVER_AFTER = timedelta(minutes=5)


@dataclass
class AlarmWorker:
    """`host` is the machine's name, as several servers may share the database."""

    db: Database
    clock: Clock
    host: str
    disk: Disk
    engine_health: Callable[[], EngineHealth]
    _since: dict[str, tuple[bool, datetime]] = field(default_factory=dict)  # whether amiss, and since when
    _said: dict[str, bool] = field(default_factory=dict)  # as it is stored

    def step(self) -> None:
        """Look once. Nothing is read or written while all is as it was."""
        now = self.clock.now()
        for name, sentence in self._found().items():
            is_amiss = bool(sentence)
            before = self._since.get(name)
            if before is None or before[0] is not is_amiss:
                before = self._since[name] = (is_amiss, now)
            lasting = BEGINS_AFTER[name] if is_amiss else OVER_AFTER
            if self._said.get(name) is not is_amiss and now - before[1] >= lasting:
                self._say(name, sentence, now)
                self._said[name] = is_amiss

    def _found(self) -> Mapping[str, str]:
        """Return what is amiss, in a sentence; empty where nothing is."""
        health, alarm = self.engine_health(), self.disk.alarm
        disk = self.disk.trouble or (alarm.sentence if alarm is not None else "")
        return {DISK: disk, ENGINE: "" if health.is_up else health.sentence}

    def _say(self, name: str, sentence: str, now: datetime) -> None:
        stored = f"{name} of {self.host}"
        with self.db.write() as tx:
            if sentence:
                alarms.begin(tx, stored, self._headline(name), sentence, now)
            else:
                alarms.end(tx, stored, now)

    def _headline(self, name: str) -> str:
        if name == DISK:
            return f"The disk of {self.host} is filling up"
        return f"The container engine of {self.host} does not answer"
