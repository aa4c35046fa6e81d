"""What Prometheus reads of this server: counted since it began, or looked up just now without reading a whole table.

Labels have few values: words of ours, names of loops, and the two or three directories that are watched. Names of jobs
and projects are none, as there may be any number of them.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.domain.backups import BackupState
from app.domain.room import MARKS, SCARCE_BYTES, SCARCE_FILES, Level, Room
from app.store import gauges
from app.store.counts import BOUNDS, Durations
from app.store.database import StoreUnavailable
from app.store.gauges import Gauges
from app.web.server_context import ServerContext

ENDS = {
    "run": ("jobyard_runs_finished", "Runs that ended."),
    "build": ("jobyard_builds_finished", "Builds that ended."),
    "deployment": ("jobyard_deployments_finished", "Deployments of apps that ended."),
    "flow_run": ("jobyard_flow_runs_finished", "Runs of release flows that ended."),
}
TIMES = {
    ("run", "waited"): ("jobyard_run_wait_seconds", "From when a run was asked for to its first start."),
    ("run", "took"): ("jobyard_run_duration_seconds", "From a run's first start to its end."),
    ("build", "waited"): ("jobyard_build_wait_seconds", "From when a build was asked for to its start."),
    ("build", "took"): ("jobyard_build_duration_seconds", "From a build's start to its end."),
    ("deployment", "took"): ("jobyard_deployment_duration_seconds", "From a deployment's start to its end."),
}
COUNTERS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "decision": ("jobyard_decisions", "Decisions, by what they said and why.", ("verdict", "rule")),
    "delivery": ("jobyard_deliveries", "Webhook calls with a right signature.", ("forge", "status")),
    "commit_status": ("jobyard_commit_statuses", "Tries to post statuses of commits.", ("status",)),
    "mail": ("jobyard_mails", "Mails with links to accounts.", ("status",)),
    "delivery settled": ("jobyard_deliveries_settled", "Deliveries that were decided.", ("status",)),
    "notification": ("jobyard_notifications", "Messages to notification targets.", ("outcome", "kind")),
    "delivery rejected": ("jobyard_deliveries_rejected", "Webhook calls without a right signature.", ()),
}
Values = Mapping[Any, float]  # by the values of the labels, a tuple of texts


def exposition(server: ServerContext) -> bytes:
    """Return everything in Prometheus's text format."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Server(server))
    return generate_latest(registry)


@dataclass(frozen=True, eq=False)
class _Server(Collector):
    server: ServerContext

    def collect(self) -> Iterator[Metric]:
        yield _gauge("jobyard_info", "The version that runs.", ("version", "python"), {_versions(): 1})
        yield from self._counted()
        yield from self._stored()
        yield from _of_disk(self.server.disk.rooms)
        health = self.server.engine_health()
        yield _gauge("jobyard_engine_up", "Whether the container engine answers.", (), {(): health.is_up})
        turns = self.server.turns
        last = {(name,): at.timestamp() for name, at in turns.last().items()}
        name = "jobyard_loop_last_turn_timestamp_seconds"
        yield _gauge(name, "When each loop of the server came round last.", ("loop",), last)
        faults = {(name,): number for name, number in turns.faults().items()}
        yield _counter("jobyard_loop_faults", "Faults of Jobyard that loops met.", ("loop",), faults)

    def _counted(self) -> Iterator[Metric]:
        counts = self.server.db.counts
        for what, (name, text) in ENDS.items():
            yield _counter(name, text, ("status", "reason"), counts.totals(what))
        for (what, which), (name, text) in TIMES.items():
            yield _histogram(name, text, counts.durations(what, which))
        for what, (name, text, labels) in COUNTERS.items():
            yield _counter(name, text, labels, counts.totals(what))

    def _stored(self) -> Iterator[Metric]:
        """What is asked of the database: without an answer only that there is none."""
        try:
            with self.server.db.read() as tx:
                found = gauges.read(tx)
        except StoreUnavailable:
            found = None
        yield _gauge("jobyard_database_up", "Whether the database answers.", (), {(): found is not None})
        if found is not None:
            now = self.server.clock.now()
            yield from _of_rows(found, now)
            if self.server.backups is not None and found.backups is not None:
                yield from _of_backups(found.backups, now)


def _of_rows(found: Gauges, now: datetime) -> Iterator[Metric]:
    yield _gauge("jobyard_open", "What is not over, by its status.", ("kind", "status"), found.open)
    due = {"runs": found.run_due_at, "builds": found.build_due_at, "deliveries": found.delivery_received_at}
    lag = {(queue,): _lag(at, now) for queue, at in {**due, **found.outboxes}.items()}
    yield _gauge(
        "jobyard_queue_lag_seconds", "For how long the first in a queue could have begun.", ("queue",), lag
    )
    lag_of_schedules = {(): _lag(found.schedule_due_at, now)}
    text = "For how long the first scheduled time is due and not decided."
    yield _gauge("jobyard_schedule_lag_seconds", text, (), lag_of_schedules)
    yield _gauge("jobyard_servers", "Servers that work on the database.", (), {(): found.servers})
    size = {(): found.database_bytes}
    yield _gauge("jobyard_database_size_bytes", "What the database takes, without its log.", (), size)


def _of_backups(found: BackupState, now: datetime) -> Iterator[Metric]:
    if found.made_at is not None:
        age = {(): _lag(found.made_at, now)}
        text = "Since the last backup made by itself was found whole."
        yield _gauge("jobyard_backup_age_seconds", text, (), age)
        yield _gauge("jobyard_backup_size_bytes", "What that backup takes.", (), {(): found.bytes})
    text = "Tries that failed since the last good backup, or since they are made."
    yield _gauge("jobyard_backup_failures", text, (), {(): found.failures})


def _of_disk(rooms: Mapping[Path, Room]) -> Iterator[Metric]:
    by_name = {(str(place),): room for place, room in rooms.items()}
    yield _gauge(
        "jobyard_disk_free_bytes",
        "Free in a directory.",
        ("directory",),
        {key: room.bytes for key, room in by_name.items()},
    )
    files = {key: room.files for key, room in by_name.items() if room.files is not None}
    yield _gauge("jobyard_disk_free_files", "Files that a directory has room for.", ("directory",), files)
    levels = {key: room.level for key, room in by_name.items()}
    text = "0 enough; 1 low: clean-up hurries; 2 short: builds wait; 3 scarce: nothing new is accepted."
    yield _gauge("jobyard_disk_level", text, ("directory",), levels)
    marks = {(*key, mark): needed for key, room in by_name.items() for mark, needed in _marks(room)}
    text = "With less than this free, a directory is at that level."
    labels = ("directory", "mark")
    yield _gauge("jobyard_disk_mark_bytes", text, labels, {key: room.bytes for key, room in marks.items()})
    yield _gauge(
        "jobyard_disk_mark_files", text, labels, {key: room.files or 0 for key, room in marks.items()}
    )


def _marks(room: Room) -> Iterator[tuple[str, Room]]:
    for level, mark in MARKS.items():
        yield level.name.lower(), mark.room_of(room)
    yield Level.SCARCE.name.lower(), Room(SCARCE_BYTES, SCARCE_FILES)


def _lag(due_at: datetime | None, now: datetime) -> float:
    return 0.0 if due_at is None else max((now - due_at).total_seconds(), 0.0)


@cache
def _versions() -> tuple[str, str]:
    """Looked up once: that reads the files of each package that is installed."""
    try:
        ours = version("jobyard")
    except PackageNotFoundError:  # run from its source tree
        ours = ""
    return ours, platform.python_version()


def _gauge(name: str, text: str, labels: Sequence[str], values: Values) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for given, value in sorted(values.items()):
        family.add_metric(given, float(value))
    return family


def _counter(name: str, text: str, labels: Sequence[str], values: Values) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for given, value in sorted(values.items() or ([] if labels else [((), 0)])):
        family.add_metric(given, float(value))
    return family


def _histogram(name: str, text: str, found: Mapping[tuple[str, ...], Durations]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=("status",))
    for given, durations in sorted(found.items()):
        below, buckets = 0, []
        for bound, number in zip((*map(str, BOUNDS), "+Inf"), durations.numbers, strict=True):
            below += number
            buckets.append((bound, float(below)))
        family.add_metric(given, buckets, durations.seconds)
    return family
