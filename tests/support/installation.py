"""A whole installation without threads: real store, rules, logs, web and loops over an engine in memory.

An `Installation` is what outlives a server: database, logs, the engine's containers, the repository, the clock. Every
test that needs one begins with it, and all that looks at it or works on it comes from it: `server` starts the same loop
objects as in production, stepped by hand (a `Fuse` kills them at their n-th contact with the outside world), `web` is
what pages and API stand on (`api.Caller` calls them), and `seed.World` puts there what builders and runners
would have left.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

from app.commands.flow_runs import start_flow_run
from app.domain.builds import Build
from app.domain.decisions import Decision
from app.domain.deployments import Deployment
from app.domain.events import repo_key
from app.domain.flow_codec import steps_from_json
from app.domain.flows import FlowConcurrency, FlowRun, FlowTrigger
from app.domain.job.codec import build_from_json
from app.domain.job.records import Job, SourceSettings
from app.domain.job.spec import GitSource
from app.domain.lanes import lane_of
from app.domain.pipelines import Component, Pipeline, Stage
from app.domain.runs import Run
from app.engines.fake import FakeEngine, World
from app.logs import LogReader
from app.runtime.log_storage import LogStorage
from app.runtime.signals import Signals
from app.secrets import SecretBox, first_ring
from app.store import (
    apps,
    builds,
    decisions,
    deliveries,
    deployments,
    epochs,
    flows,
    jobs,
    pipelines,
    projects,
    runs,
)
from app.store.apps import App
from app.store.database import Database
from app.store.deliveries import Delivery, NewDelivery
from app.store.flows import Flow
from app.store.jobs import add_source
from app.web.server_context import ServerContext
from tests.support.clock import Clock, Names, ticking
from tests.support.databases import empty_sqlite, quick_sqlite
from tests.support.fakes import Backend, Outbox, Repository
from tests.support.loops import Server
from tests.support.mortal import Fuse, MortalDatabase
from tests.support.samples import URL, push_payload, spec_of
from tests.support.server_context import server_context

LOG_CAP_BYTES = 1_000_000
KEY = b"a key of the tests, random enough"


@dataclass(frozen=True)
class Stored:
    """What an installation held: the file of its database, and how many names it had given."""

    database: bytes | None = None  # None: one that is migrated and empty
    names: int = 0


NOTHING = Stored()


@lru_cache(maxsize=4)
def _database(file: Path) -> tuple[Database, Signals]:
    """One for all tests that use the same path one after the other, with its compiled statements."""
    signals = Signals()
    return quick_sqlite(file, signals.publish), signals


class Installation:
    """In a folder; one that was there before is removed. Its clock moves with every look at it.

    Its database is SQLite's, in the folder, unless `db` is another one that is migrated and empty; with `stored` None
    it goes on with what the folder has.
    """

    log_cap_bytes = LOG_CAP_BYTES

    def __init__(
        self,
        root: Path,
        db: Database | None = None,
        *,
        stored: Stored | None = NOTHING,
        clock: Clock | None = None,
        project: str | None = "reports",
        log_cap_bytes: int = LOG_CAP_BYTES,
    ) -> None:
        self.root = root
        self.clock = clock or ticking()
        self.world = World()
        self.names = Names(stored.names if stored else 0)
        self.box = SecretBox(first_ring(KEY))
        if stored:
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            (root / "jobyard.db").write_bytes(stored.database or empty_sqlite())
        (root / "checkouts").mkdir(exist_ok=True)
        self.repository = Repository(root / "checkouts")
        self.backend = Backend(self.world)
        self.outbox = Outbox()
        self.epoch = ""
        self.engine = FakeEngine(self.clock.now, self.world)
        self.db, self.signals = (db, Signals()) if db else _database(root / "jobyard.db")
        self.log_cap_bytes = log_cap_bytes
        self.log_storage = self._log_storage(self.signals)
        if project is not None:
            with self.db.write() as tx:
                self.project = projects.create(tx, project, None, self.clock.now())

    @classmethod
    def bare(
        cls,
        root: Path,
        *,
        stored: Stored | None = NOTHING,
        clock: Clock | None = None,
        log_cap_bytes: int = LOG_CAP_BYTES,
    ) -> Self:
        """One with nothing but what is `stored`, and a clock that stands still: for tests of pages and API, which make
        there what they look at.
        """
        return cls(root, stored=stored, clock=clock or Clock(), project=None, log_cap_bytes=log_cap_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def web(self) -> ServerContext:
        """What pages and API stand on, in a server that has no loops."""
        return server_context(self)

    def restored(self, root: Path, epoch: str = "restored") -> Installation:
        """What a backup that is made now gives, on the same engine; the same epoch where it was copied by hand."""
        other = copy(self)
        vars(other).pop("web", None)
        other.root, other.epoch = root, epoch
        shutil.copytree(self.root, root)
        with closing(sqlite3.connect(self.root / "jobyard.db")) as source:
            (root / "jobyard.db").unlink()
            with closing(sqlite3.connect(root / "jobyard.db")) as target:
                source.backup(target)
        other.engine = FakeEngine(self.clock.now, self.world, epoch=epoch)
        other.db = quick_sqlite(root / "jobyard.db")
        other.log_storage = other._log_storage(Signals())
        if epoch != self.epoch:
            with other.db.write() as tx:
                epochs.begin(tx, epoch, self.clock.now())
        return other

    def close(self) -> None:
        if "web" in vars(self):
            self.web.inbox.close()
        self.db.close()

    def _log_storage(self, signals: Signals) -> LogStorage:
        return LogStorage(self.root / "logs", signals, cap_bytes=self.log_cap_bytes)

    def server(self, name: str, fuse: Fuse | None = None, *, alone: bool = True, **runner: Any) -> Server:
        """A server that is started on it; further fields are those of its `Runner`."""
        fuse = fuse or Fuse()
        return Server(self, name, MortalDatabase(self.db, fuse), fuse, alone=alone, **runner)

    # -- what users do --

    def job(self, name: str = "report", *, project_id: int | None = None, **changes: Any) -> Job:
        """A job built from the repository, unless its source is another; `changes` are of the API's form, and those of
        its source `source__branch` and so on.
        """
        build = {
            key.removeprefix("build__"): changes.pop(key)
            for key in list(changes)
            if key.startswith("build__")
        }
        given = {
            key.removeprefix("source__"): changes.pop(key)
            for key in list(changes)
            if key.startswith("source__")
        }
        spec = spec_of(name, **changes)
        settings = SourceSettings(URL, repo_key(URL), "main", build_from_json(build), spec.ci_enabled)
        with self.db.write() as tx:
            owner, now = project_id or self.project.id, self.clock.now()
            source: SourceSettings | int | None = None
            if isinstance(spec.source, GitSource):
                service = given.pop("name", None)
                source = replace(settings, **given)
                source = add_source(tx, owner, service, source, now).id if service else source
            return jobs.create(tx, owner, spec, source, now)

    def app(self, name: str, *members: Job, hooks: Sequence[Job] = ()) -> App:
        """An app of these jobs, in this order; `hooks` are post-deploy where their definition says nothing."""
        with self.db.write() as tx:
            app_id = apps.create(tx, self.project.id, name, self.clock.now())
            apps.set_members(tx, app_id, {job.id: "post-deploy" if job in hooks else None for job in members})
            return apps.with_id(tx, app_id)

    def pipeline(self, name: str, *stages: Sequence[Job]) -> Pipeline:
        """A pipeline with these jobs in its stages, which are called one, two, three."""
        names = ("one", "two", "three")
        components = [tuple(Component("job", job.id, job.name) for job in stage) for stage in stages]
        with self.db.write() as tx:
            pipeline_id = pipelines.create(tx, self.project.id, name, self.clock.now())
            pipelines.set_stages(
                tx, pipeline_id, [Stage(*each) for each in zip(names, components, strict=False)]
            )
            return pipelines.named(tx, self.project.name, name)

    def flow(
        self,
        *nodes: Mapping[str, Any],
        name: str = "release",
        concurrency: str = "queue",
        on_push: Job | None = None,
    ) -> Flow:
        """A flow of these nodes, in the API's form."""
        with self.db.write() as tx:
            flows.save(
                tx,
                self.project.id,
                name,
                steps_from_json(nodes),
                concurrency=FlowConcurrency(concurrency),
                push_job_id=on_push.id if on_push else None,
                now=self.clock.now(),
            )
            return flows.named(tx, self.project.name, name)

    def start(self, flow: Flow, **trigger: Any) -> int:
        """A run of the flow; returns its id."""
        with self.db.write() as tx:
            why = FlowTrigger.from_json({"type": "api", "by": "ada", **trigger})
            return start_flow_run(tx, flow, why, self.clock.now()).id

    def push(
        self,
        before: str | None,
        after: str | None,
        *,
        guid: str | None = None,
        scopes: Sequence[str] = (),
        **fields: Any,
    ) -> str:
        """A delivery arrives and is recorded; returns its id."""
        guid = guid or f"delivery-{before}-{after}"
        body = json.dumps(push_payload(before, after, **fields)).encode()
        scopes = tuple(scopes) or (f"project:{self.project.id}",)
        named = [int(scope.partition(":")[2]) for scope in scopes if scope.startswith("project:")]
        key = repo_key(fields.get("url", URL))
        lane = lane_of((project, key) for project in named or [self.project.id])
        new = NewDelivery(
            "github", guid, "push", False, scopes, body, "acme/report", self.clock.now(), lane
        )  # fmt: skip
        if before and after and not fields.get("forced"):  # Git says what the payload does
            self.repository.differing.setdefault(
                (before, after), frozenset(fields.get("files", ("report.py",)))
            )
        deliveries.record(self.db, [new])
        return guid

    # -- what became of it --

    def delivery(self, guid: str) -> Delivery:
        with self.db.read() as tx:
            return deliveries.find(tx, guid)

    def job_now(self, job: Job) -> Job:
        with self.db.read() as tx:
            return jobs.with_id(tx, job.id)

    def runs(self) -> list[Run]:
        """Oldest first."""
        with self.db.read() as tx:
            return list(reversed(runs.page(tx, limit=100)))

    def builds(self) -> list[Build]:
        with self.db.read() as tx:
            return list(reversed(builds.page(tx, limit=100)))

    def deployments(self) -> list[Deployment]:
        """Oldest first."""
        with self.db.read() as tx:
            return list(reversed(deployments.page(tx, limit=100)))

    def flow_run(self, run_id: int) -> FlowRun:
        with self.db.read() as tx:
            return flows.run_with_id(tx, run_id)

    def flow_runs(self, flow: Flow) -> list[FlowRun]:
        """Oldest first."""
        with self.db.read() as tx:
            return list(reversed(flows.runs_page(tx, flow.id, 100)))

    def decisions(self) -> list[Decision]:
        with self.db.read() as tx:
            return list(reversed(decisions.page(tx, limit=1000)))

    def verdicts(self) -> list[tuple[str, str | None, str, str]]:
        """(event, job, verdict, rule) of every decision, oldest first."""
        return [(str(each.event_type), each.job, str(each.verdict), each.rule) for each in self.decisions()]

    def attempt_log(self, run: Run, number: int) -> bytes:
        return read_log(self.log_storage.reader(run.id, number))

    def build_log(self, build: Build) -> bytes:
        return read_log(LogReader(self.log_storage.build_path(build.id)))

    def open_work(self) -> list[str]:
        with self.db.read() as tx:
            waiting = [
                f"delivery {each.guid}" for each in deliveries.page(tx, 100) if each.status == "received"
            ]
            return [
                *waiting,
                *(
                    f"build {each.id} {each.status}"
                    for each in builds.page(tx, limit=100, statuses=builds.OPEN)
                ),
                *(f"run {each.id} {each.status}" for each in runs.page(tx, limit=100, statuses=runs.OPEN)),
                *(f"deployment {each}" for each in deployments.unfinished(tx)),
                *(
                    f"node {node.name} of flow run {each}"
                    for each in flows.unfinished(tx)
                    for node in flows.run_with_id(tx, each).nodes
                    if node.available_at is not None and not node.status.is_over
                ),
            ]


def read_log(reader: LogReader) -> bytes:
    return b"".join(piece.data for piece in reader.pieces())
