"""Refusals in the audit log: bounded in number for each network and minute, so that no stranger fills the disk."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.domain.audit import Entry, Outcome
from app.domain.networks import network_of
from app.store import audit
from app.store.database import Database, recorded_by

OF_A_NETWORK, OF_ALL = 5, 100  # entries a minute
REST = "Of the refusals from there within a minute, those that have no entry of their own."
ELSEWHERE = "elsewhere"


@dataclass
class _Minute:
    count: dict[str, int] = field(default_factory=dict)
    written: int = 0
    rest: dict[str, Entry] = field(default_factory=dict)


@dataclass
class Refusals:
    """What one server refused. The rest of a minute becomes an entry a network, once the minute is over."""

    _minutes: dict[int, _Minute] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, db: Database, entry: Entry) -> None:
        """Store the refusal, or count it where its network has had its share of this minute."""
        entry = replace(entry, outcome=Outcome.REFUSED)
        with self._lock:
            due = [*self._over(entry.at), *self._taken(entry)]
        _store(db, due)

    def flush(self, db: Database, now: datetime) -> None:
        """Store what was counted in the minutes that are over."""
        with self._lock:
            due = self._over(now)
        _store(db, due)

    def _taken(self, entry: Entry) -> list[Entry]:
        minute = self._minutes.setdefault(_minute(entry.at), _Minute())
        network = network_of(entry.actor.address)
        if network not in minute.count and len(minute.count) >= OF_ALL:
            network = ELSEWHERE
        minute.count[network] = minute.count.get(network, 0) + 1
        if minute.count[network] <= OF_A_NETWORK and minute.written < OF_ALL:
            minute.written += 1
            return [entry]
        before = minute.rest.get(network)
        if before is None:
            address = entry.actor.address if network != ELSEWHERE else ELSEWHERE
            first = replace(entry, actor=replace(entry.actor, address=address), detail=REST, request_id="")
            minute.rest[network] = first
        else:
            minute.rest[network] = replace(before, times=before.times + 1)
        return []

    def _over(self, now: datetime) -> list[Entry]:
        ended = [each for each in self._minutes if each != _minute(now)]
        return [entry for each in ended for entry in self._minutes.pop(each).rest.values()]


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // 60


def _store(db: Database, entries: Sequence[Entry]) -> None:
    if entries:
        with recorded_by(None), db.write() as tx:  # it is no change of the request's own
            for entry in entries:
                audit.add(tx, entry)
