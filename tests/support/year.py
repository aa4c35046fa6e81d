"""Days of work in fast time: what the loops leave in the store, on the disk and on the engine, and how much stays.

Each day a part of the work goes through the loops (pushes, builds, runs, over an engine and a clock in memory); the
rest are copies of the rows and files that they left, so that a year takes minutes. The clean-up is the server's own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.checkout import Checkouts
from app.commands.image_retention import ImageRetention
from app.commands.retention import Retention
from app.domain.job.records import Job
from app.domain.retention import Limits
from app.domain.runs import Trigger, TriggerType
from app.engines.fake import Script
from app.runtime.engine_health import EngineHealth
from app.runtime.signals import Signals
from app.store import runs
from app.store.database import Tx
from app.workers.retention import RetentionWorker
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.past import OURS
from tests.support.repositories import Repository

DAY = 86_400.0
UP = EngineHealth(is_up=True, sentence="The engine answers.")
# The tables that grow with work: by what a copy of a row refers to in copies, and what is unlike any other's in it.
COPIED: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "delivery": ({}, ("guid",)),
    "movement": ({"delivery_id": "delivery"}, ("after",)),
    "build": ({}, ("digest",)),
    "build_source": ({"build_id": "build"}, ()),
    "run": ({"build_id": "build"}, ("name",)),
    "attempt": ({"run_id": "run"}, ()),
    "container": ({"attempt_id": "attempt"}, ("key",)),
    "decision": ({"build_id": "build", "run_id": "run"}, ("event_id",)),
}
COUNTED = (*COPIED, "deployment", "deployment_step", "flow_run", "promotion", "answer", "login", "job")
OF_RUNS = ("run", "attempt", "container")
FILES_OF_COMMIT = 120  # fewer objects would be unpacked, which leaves no pack


@dataclass(frozen=True)
class Growth:
    """What there is at the end of a day: rows by table, files and bytes of logs, bytes of the database and its log,
    names of images, packs and loose objects of the mirror.
    """

    day: int
    rows: dict[str, int]
    log_files: int
    log_bytes: int
    database_bytes: int
    database_log_bytes: int
    images: int
    packs: int
    loose_objects: int

    @property
    def figures(self) -> dict[str, int]:
        others = {name: value for name, value in vars(self).items() if name not in ("day", "rows")}
        return {**self.rows, **others}


@dataclass
class Year:
    """So many pushes and runs a day, of which so many go through the loops; the others are copies."""

    root: Path
    limits: Limits
    pushes: int = 50
    runs: int = 500
    worked_pushes: int = 2
    worked_runs: int = 10
    cleans_up: bool = True
    _worked: dict[str, tuple[int, int]] = field(default_factory=dict)  # of each table the first and last id
    _last_image: int = 0
    _head: str | None = None
    _number: int = 0

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.place = place = Installation(self.root / "place")
        self.server = place.server("one")
        self.server.reconcile()
        self.jobs = [place.job(f"job-{number}", run_on_image_change="never") for number in range(5)]
        place.engine.script("*", Script(output=[b"a line of output\n" * 40], exit_code=0))
        self.repository = Repository(self.root / "repository")
        self.checkouts = Checkouts(self.root / "mirrors", frozenset({"file"}))
        storage = place._log_storage(Signals())
        images = ImageRetention(place.db, place.engine, OURS, lambda: UP)
        retention = Retention(place.db, place.clock, storage, self.limits, OURS, images=images)
        self.worker = RetentionWorker(place.db, place.clock, retention, self.checkouts)
        self.worker.stopping.wait = lambda timeout=None: False  # type: ignore[method-assign, assignment]

    def days(self, number: int) -> Iterator[int]:
        """Yields the number of each day at its end."""
        for day in range(1, number + 1):
            began = self.place.clock.now()
            self._work()
            self._copy()
            self._fetch(day)
            spent = (self.place.clock.now() - began).total_seconds()
            self.place.clock.advance(DAY - spent)
            if self.cleans_up:
                self.worker.step()
            self.place.db.checkpoint()
            yield day

    def close(self) -> None:
        self.place.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def _work(self) -> None:
        before = {table: self._greatest(table) for table in COPIED if table != "build_source"}
        for _ in range(self.worked_pushes):
            self._number += 1
            after = commit(self._number)
            self.place.push(self._head, after, guid=f"guid-{self._number}")
            self._head = after
            while self.server.intake.step() or self.server.builder.step():
                pass
        for number in range(self.worked_runs):
            self._run(self.jobs[number % len(self.jobs)])
        while self.server.runner.step():
            pass
        self._worked = {table: (first, self._greatest(table)) for table, first in before.items()}
        self.place.backend.requests.clear()
        self.place.world.starts.clear()

    def _run(self, job: Job) -> None:
        self._number += 1
        with self.place.db.write() as tx:
            runs.enqueue(
                tx,
                name=f"{job.name}-{self._number}",
                project_id=job.project_id,
                job_id=job.id,
                trigger=Trigger(TriggerType.MANUAL, cause="Started manually."),
                spec=job.spec.run,
                now=self.place.clock.now(),
            )

    def _copy(self) -> None:
        """As many copies of the day's rows and files as make up the day's number."""
        new: dict[tuple[str, int, int], int] = {}
        with self.place.db.write() as tx:
            for table, (references, unique) in COPIED.items():
                per_day, worked = (
                    (self.runs, self.worked_runs) if table in OF_RUNS else (self.pushes, self.worked_pushes)
                )
                rows = self._of_today(tx, table)
                copies = [
                    self._copied(new, table, row, number, references, unique)
                    for number in range(per_day // worked - 1)
                    for row in rows
                ]
                if copies:
                    names = ", ".join(f'"{each}"' for each in copies[0])
                    places = ", ".join("?" * len(copies[0]))
                    cursor = tx.connection().connection.cursor()
                    values = [tuple(each.values()) for each in copies]
                    cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", values)
        for (table, old, _), made in new.items():
            self._copy_files(table, old, made)
        self._name_images()

    def _copied(
        self,
        new: dict[tuple[str, int, int], int],
        table: str,
        row: dict[str, Any],
        number: int,
        references: dict[str, str],
        unique: tuple[str, ...],
    ) -> dict[str, Any]:
        """A row with an id of its own, which refers to the copies that go with it."""
        copy = dict(row)
        if "id" in copy:
            first, last = self._worked[table]
            copy["id"] = row["id"] + (number + 1) * (last - first)
            new[table, row["id"], number] = copy["id"]
        for column, target in references.items():
            copy[column] = new.get((target, row[column], number), row[column])
        for column in unique:
            copy[column] = row[column] and f"{row[column]}~{number}"
        if "position" in copy:
            copy["position"] += number + 1
        return copy

    def _name_images(self) -> None:
        """As a builder does on a real engine."""
        with self.place.db.read() as tx:
            query = text("SELECT id FROM build WHERE status = 'succeeded' AND id > :last")
            made = tx.connection().execute(query, {"last": self._last_image}).scalars().all()
        self.place.world.names += [f"{OURS.repository}:build-{build}-0a1b" for build in made]
        self._last_image = max(made, default=self._last_image)

    def _of_today(self, tx: Tx, table: str) -> list[dict[str, Any]]:
        """The rows that the loops left."""
        of, key = ("build", "build_id") if table == "build_source" else (table, "id")
        first, last = self._worked[of]
        query = text(f'SELECT * FROM {table} WHERE "{key}" > :first AND "{key}" <= :last')
        found = tx.connection().execute(query, {"first": first, "last": last}).mappings()
        return [dict(row) for row in found]

    def _greatest(self, table: str) -> int:
        with self.place.db.read() as tx:
            query = text(f"SELECT max(id) FROM {table}")
            return tx.connection().execute(query).scalar_one() or 0

    def _copy_files(self, table: str, old: int, new: int) -> None:
        storage = self.worker.retention.log_storage
        if table == "run":
            source, target = (storage.attempt_path(each, 1).parent for each in (old, new))
            if source.exists():
                shutil.copytree(source, target)
        elif table == "build":
            source, target = storage.build_path(old), storage.build_path(new)
            target.parent.mkdir(parents=True, exist_ok=True)
            for file in source.parent.glob(f"{old}.*"):
                if file.is_file():
                    shutil.copy(file, target.with_suffix(file.suffix))

    def _fetch(self, day: int) -> None:
        """One push of the day arrives in a real mirror."""
        sha = self.repository.commit(
            {f"{number}.txt": f"{day} {number}\n" for number in range(FILES_OF_COMMIT)}
        )
        self.checkouts.fetch(self.repository.url, sha=sha, ref="main")
        at = self.place.clock.now().timestamp()
        for folder in self.checkouts.root.glob("*/"):
            os.utime(folder, (at, at))

    def growth(self, day: int) -> Growth:
        logs = self.worker.retention.log_storage.root
        files = [Path(folder) / name for folder, _, names in os.walk(logs) for name in names]
        database = self.place.root / "jobyard.db"
        log = database.with_name("jobyard.db-wal")
        mirrors = self.checkouts.root
        with self.place.db.read() as tx:
            rows = {
                table: tx.connection().execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
                for table in COUNTED
            }
        return Growth(
            day=day,
            rows=rows,
            log_files=len(files),
            log_bytes=sum(file.stat().st_size for file in files),
            database_bytes=database.stat().st_size,
            database_log_bytes=log.stat().st_size if log.exists() else 0,
            images=len(self.place.world.names),
            packs=len(list(mirrors.glob("*/mirror.git/objects/pack/*.pack"))),
            loose_objects=len(list(mirrors.glob("*/mirror.git/objects/??/*"))),
        )


def unbounded(earlier: Growth, later: Growth, tolerance: float = 1.25, least: int = 200) -> list[str]:
    """What has grown beyond a tolerance between two days that should be alike; figures below `least` don't count."""
    return [
        f"{name}: {earlier.figures[name]:,} on day {earlier.day}, {value:,} on day {later.day}"
        for name, value in later.figures.items()
        if value > max(least, earlier.figures[name] * tolerance)
    ]
