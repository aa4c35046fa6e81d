"""A whole installation without threads: real store, rules, logs and loops over an engine in memory.

An `Installation` is what outlives a server: database, logs, the engine's containers, the repository, the clock.
`Installation.server` starts a server on it: the same loop objects as in production, stepped by hand. A server can be
given a `Fuse`, which kills it at its n-th contact with the outside world.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import sqlite3
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from sqlalchemy import event

from app.checkout import Credential, RefNotFound
from app.commands.flow_runs import start_flow_run
from app.domain.builds import Build
from app.domain.decisions import Decision
from app.domain.deployments import Deployment
from app.domain.errors import EngineUnavailable
from app.domain.events import repo_key
from app.domain.flow_nodes import steps_from_json
from app.domain.flows import FlowConcurrency, FlowRun, FlowTrigger
from app.domain.job.codec import build_from_json, job_from_json
from app.domain.job.records import Job, SourceSettings
from app.domain.job.spec import GitSource, JobSpec
from app.domain.lanes import lane_of
from app.domain.pipelines import Component, Pipeline, Stage
from app.domain.plans import DEFAULT_PLANS
from app.domain.references import Ours
from app.domain.runs import Run
from app.engines.fake import FakeEngine, World
from app.forges.github import GitHub
from app.logs import LogReader
from app.runtime.log_storage import Logbook
from app.runtime.signals import Signals
from app.secrets import SecretBox
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
from app.store.database import Database, Tx
from app.store.deliveries import Delivery, NewDelivery
from app.store.flows import Flow
from app.store.jobs import add_source
from app.workers.build.builder import Builder
from app.workers.deployments import Deployer
from app.workers.flows import Conductor
from app.workers.intake import Intake
from app.workers.notifications import Messenger
from app.workers.reconciler import Reconciler
from app.workers.remote_poller import Comparer
from app.workers.run.active import Active
from app.workers.run.runner import Runner
from app.workers.run.watcher import Watcher
from builders.backends.base import BuildCancelled, BuildRequest, BuiltImage, Step, StopSignal
from tests.support.engine_harness import eventually

URL = "https://github.com/acme/report.git"
INTERVAL = timedelta(minutes=10)  # between comparisons with the remote
START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
ZERO = "0" * 40
DOCKERFILE = {"Dockerfile": "FROM busybox\nCMD ./report\n"}


class TickingClock:
    """Moves 20 ms with every look at it, as if every step took a moment; and when a test says so."""

    def __init__(self) -> None:
        self._at = START
        self._set_by = timedelta(0)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            self._at += timedelta(milliseconds=20)
            return self._at

    def ticks(self) -> float:
        with self._lock:
            self._at += timedelta(milliseconds=20)
            return (self._at - self._set_by - START).total_seconds()

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._at += timedelta(seconds=seconds)

    def set_by(self, seconds: float) -> None:
        """Somebody sets the clock, forward or back."""
        with self._lock:
            self._at += timedelta(seconds=seconds)
            self._set_by += timedelta(seconds=seconds)


class CountedNames:
    def __init__(self) -> None:
        self._count = 0

    def suffix(self) -> str:
        self._count += 1
        return f"{self._count:06d}"


class Killed(BaseException):
    """The server's process is gone: no handler of ours runs any more."""


class Fuse:
    """Blows at the n-th contact (from 1); then, and ever after, every contact raises Killed."""

    def __init__(self, blows_at: int | None = None) -> None:
        self.blows_at = blows_at
        self.burnt: list[str] = []
        self._lock = threading.Lock()

    @property
    def is_blown(self) -> bool:
        return self.blows_at is not None and len(self.burnt) >= self.blows_at

    def check(self) -> None:
        if self.is_blown:
            raise Killed

    def burn(self, point: str) -> None:
        with self._lock:
            self.check()
            self.burnt.append(point)
            self.check()


class MortalDatabase(Database):
    """Another's database, through which one dies before or after a commit; a dead one neither reads nor writes."""

    def __init__(self, of: Database, fuse: Fuse) -> None:
        vars(self).update(vars(of))
        self._fuse = fuse

    @contextmanager
    def read(self) -> Iterator[Tx]:
        self._fuse.check()
        with super().read() as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Tx]:
        self._fuse.check()
        with super().write() as tx:
            yield tx
            self._fuse.burn("before commit")
        self._fuse.burn("after commit")


class Mortal:
    """Dies before or after any call of what it wraps, and between the pieces of what a call yields."""

    def __init__(self, wrapped: object, fuse: Fuse) -> None:
        self._wrapped = wrapped
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse.burn(f"before {name}")
            answer = found(*args, **kwargs)
            self._fuse.burn(f"after {name}")
            return self._pieces(name, answer) if isinstance(answer, Iterator) else answer

        return call

    def _pieces(self, name: str, answer: Iterator[Any]) -> Iterator[Any]:
        for piece in answer:
            yield piece
            self._fuse.burn(f"in {name}")


@dataclass
class Repository:
    """A Git server in memory: what a commit holds, what differs, what contains what. Implements `Checkouts`."""

    root: Path
    files: dict[str, Mapping[str, str]] = field(default_factory=dict)
    differing: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)  # of commits that no payload lists
    history: list[str] = field(default_factory=list)  # oldest first, where commits contain one another
    elsewhere: set[str] = field(default_factory=set)  # commits that none of the history contains
    faults: list[Exception] = field(default_factory=list)  # raised by the next fetches
    heads: dict[str, str] = field(default_factory=dict)  # of branches
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)  # for heads: address, branches
    fetched: Counter[str] = field(default_factory=Counter)
    credentials: list[Credential | None] = field(default_factory=list)  # that it was fetched with

    def fetch(
        self,
        url: str,
        *,
        sha: str | None,
        ref: str | None,
        credential: Credential | None = None,
        should_stop: StopSignal | None = None,
    ) -> str:
        self.credentials.append(credential)
        if self.faults:
            raise self.faults.pop(0)
        known = [*self.fetched, *self.history]
        if sha is None and not known:
            raise RefNotFound(f"The branch {ref} does not exist in {url}.")
        found = sha or known[-1]
        self.fetched[found] += 1
        return found

    @contextmanager
    def tree(self, url: str, sha: str, **_: object) -> Iterator[Path]:
        folder = Path(mkdtemp(dir=self.root))
        for name, content in self.files.get(sha, DOCKERFILE).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def changed_files(self, url: str, before: str, after: str) -> frozenset[str] | None:
        return self.differing.get((before, after))

    def flagged_commit(
        self, url: str, before: str, after: str, flags: Sequence[str]
    ) -> tuple[str, str] | None:
        said = [(sha, flag) for sha, message in self.messages.items() for flag in flags if flag in message]
        return next(iter(said), None)

    def heads_of(
        self, url: str, branches: Sequence[str], credential: Credential | None = None
    ) -> dict[str, str]:
        self.asked.append((url, tuple(branches)))
        self.credentials.append(credential)
        if self.faults:
            raise self.faults.pop(0)
        return {branch: self.heads[branch] for branch in branches if branch in self.heads}

    def message_of(self, url: str, sha: str) -> str:
        return self.messages.get(sha, "")

    def is_ancestor(self, url: str, older: str, newer: str) -> bool | None:
        if older in self.elsewhere or older == newer:
            return older == newer
        if older not in self.history or newer not in self.history:
            return None
        return self.history.index(older) <= self.history.index(newer)


@dataclass
class Backend:
    """Builds nothing; `before_end` is what happens during the next builds of a commit: wait, raise, look.

    A commit's image is always the same, unless the engine lost it: what is built then has another digest.
    """

    world: World = field(default_factory=World)
    built: Counter[str] = field(default_factory=Counter)
    before_end: defaultdict[str, list[Callable[[StopSignal], None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    requests: list[BuildRequest] = field(default_factory=list)

    def build(
        self,
        request: BuildRequest,
        *,
        on_output: Callable[[bytes], None],
        on_step: Callable[[Step], None],
        should_stop: StopSignal,
        time_limit_seconds: float | None,
    ) -> BuiltImage:
        self.requests.append(request)
        sha = request.build_args["JOBYARD_GIT_SHA"]
        on_step(Step(1, 1, "FROM busybox", 0.0))
        on_output(b"#1 FROM busybox\n")
        if self.before_end[sha]:
            self.before_end[sha].pop(0)(should_stop)
        if should_stop.is_set():
            raise BuildCancelled
        on_step(Step(1, 1, "FROM busybox", 0.0, 0.5))
        self.built[sha] += 1
        images = (image_of(sha, again) for again in itertools.count())
        return BuiltImage(next(each for each in images if each not in self.world.missing_images))


@dataclass
class Outbox:
    """What was posted: address, text and key; `errors` are what the next posts end with."""

    posted: list[tuple[str, str, str]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def post(self, url: str, text: str, key: str) -> str:
        self.posted.append((url, text, key))
        if self.errors:
            raise self.errors.pop(0)
        return "The address took it with status 200."


def image_of(sha: str, again: int = 0) -> str:
    """Of a commit, or of what it was built as after the engine had lost so many."""
    return "sha256:" + hashlib.sha256(sha.encode() + b" again" * again).hexdigest()


def commit(number: int | str) -> str:
    """The SHA of a commit that tests call by a number or a letter."""
    return hashlib.sha1(str(number).encode()).hexdigest()


def fail(*errors: Exception) -> list[Callable[[StopSignal], None]]:
    """For `Backend.before_end`: the next builds end so."""

    def one(error: Exception) -> Callable[[StopSignal], None]:
        def end(_: StopSignal) -> None:
            raise error

        return end

    return [one(error) for error in errors]


@cache
def _empty_database() -> bytes:
    folder = Path(mkdtemp())
    try:
        db = Database(f"sqlite:///{folder / 'empty.db'}")
        db.migrate()
        db.close()
        return (folder / "empty.db").read_bytes()
    finally:
        shutil.rmtree(folder)


@cache
def _database(url: str) -> Database:
    """One per path for all tests, with its compiled statements; what is never cut off needs no syncing."""
    db = Database(url)
    event.listen(db._engine, "connect", lambda each, _: each.execute("PRAGMA synchronous=OFF"))
    return db


class Installation:
    """On an empty or missing folder; one that held an installation before is emptied.

    Its database is SQLite's, in there, unless `db` is another one that is migrated and empty.
    """

    def __init__(self, root: Path, db: Database | None = None) -> None:
        self.root = root
        self.clock = TickingClock()
        self.world = World()
        self.names = CountedNames()
        self.box = SecretBox([b"a key of the tests, random enough"])
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        (root / "jobyard.db").write_bytes(_empty_database())
        (root / "checkouts").mkdir()
        self.repository = Repository(root / "checkouts")
        self.backend = Backend(self.world)
        self.outbox = Outbox()
        self.epoch = ""
        self.engine = FakeEngine(self.clock.now, self.world)
        self.db = db or _database(f"sqlite:///{root / 'jobyard.db'}")
        self.logbook = self._logbook(Signals())
        with self.db.write() as tx:
            self.project = projects.create(tx, "reports", None, self.clock.now())

    def restored(self, root: Path, epoch: str = "restored") -> Installation:
        """What a backup that is made now gives, on the same engine; the same epoch where it was copied by hand."""
        other = copy(self)
        other.root, other.epoch = root, epoch
        shutil.copytree(self.root, root)
        with closing(sqlite3.connect(self.root / "jobyard.db")) as source:
            (root / "jobyard.db").unlink()
            with closing(sqlite3.connect(root / "jobyard.db")) as target:
                source.backup(target)
        other.engine = FakeEngine(self.clock.now, self.world, epoch=epoch)
        other.db = Database(f"sqlite:///{root / 'jobyard.db'}")
        other.logbook = other._logbook(Signals())
        if epoch != self.epoch:
            with other.db.write() as tx:
                epochs.begin(tx, epoch, self.clock.now())
        return other

    def close(self) -> None:
        self.db.close()

    def _logbook(self, signals: Signals) -> Logbook:
        return Logbook(self.root / "logs", signals, cap_bytes=1_000_000)

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
            return start_flow_run(tx, flow, why, self.clock.now())

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
        return read_log(self.logbook.reader(run.id, number))

    def build_log(self, build: Build) -> bytes:
        return read_log(LogReader(self.logbook.build_path(build.id)))

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


def spec_of(name: str, **changes: Any) -> JobSpec:
    """A job as it is defined; `changes` are of the API's form."""
    source = {"type": "git", "git": {"url": URL, "branch": "main"}}
    return job_from_json({"name": name, "source": source, "run_on_image_change": "always", **changes})


def settings_of(job: Job, **changes: Any) -> SourceSettings:
    """What is stored of the job's source, with changes."""
    assert job.source is not None
    same = {each.name: getattr(job.source, each.name) for each in fields(SourceSettings)}
    return SourceSettings(**{**same, **changes})


def push_payload(
    before: str | None,
    after: str | None,
    *,
    ref: str = "refs/heads/main",
    forced: bool = False,
    messages: Sequence[str] = ("Change",),
    files: Sequence[str] = ("report.py",),
    url: str = URL,
) -> dict[str, Any]:
    """The parts of GitHub's push event that are read."""
    listed = []
    if after is not None:
        ids = [*(commit(f"{after}-{number}") for number in range(len(messages) - 1)), after]
        listed = [
            {
                "id": id_,
                "message": message,
                "author": {"name": "Ada"},
                "added": [],
                "removed": [],
                "modified": list(files),
            }
            for id_, message in zip(ids, messages, strict=True)
        ]
    return {
        "ref": ref,
        "before": before or ZERO,
        "after": after or ZERO,
        "created": before is None,
        "deleted": after is None,
        "forced": forced,
        "commits": listed,
        "head_commit": listed[-1] if listed else None,
        "pusher": {"name": "ada"},
        "compare": "https://github.com/acme/report/compare/a...b",
        "repository": {"full_name": "acme/report", "clone_url": url},
    }


def read_log(reader: LogReader) -> bytes:
    return b"".join(piece.data for piece in reader.pieces())


class Server:
    """One server's loops, stepped by hand; what it adopts it goes on with at once, in the caller's thread."""

    def __init__(
        self, place: Installation, name: str, db: MortalDatabase, fuse: Fuse, *, alone: bool, **runner: Any
    ) -> None:
        self.place = place
        self.name = name
        self.fuse = fuse
        self.db = db
        clock, engine = place.clock, Mortal(place.engine, fuse)
        logbook = place._logbook(Signals())
        checkouts: Any = Mortal(place.repository, fuse)
        self.adopted: list[Callable[[], None]] = []
        self.engine_is_up = True  # as far as is known
        self.intake = Intake(
            db, clock, place.names, name, {"github": GitHub()}, checkouts, place.box, lambda _, work: work()
        )
        self.builder = Builder(
            db=db,
            clock=clock,
            names=place.names,
            owner=name,
            checkouts=checkouts,
            backend=Mortal(place.backend, fuse),
            vault=place.box,
            logbook=logbook,
            ours=Ours("jobyard-0123456789ab"),
            addresses_of=lambda _host, _port: ["192.0.2.1"],
            engine_is_up=lambda: self.engine_is_up,
        )
        self.runner = Runner(
            db=db,
            clock=clock,
            owner=name,
            engine=engine,  # type: ignore[arg-type]
            vault=place.box,
            logbook=logbook,
            plans={plan.name: plan for plan in DEFAULT_PLANS},
            ours=Ours("jobyard-0123456789ab"),
            epoch=place.epoch,
            active=Active(),
            engine_is_up=lambda: self.engine_is_up,
            **{"asked_every": 0.0, **runner},
        )
        self.watcher = Watcher(db, clock, engine, self.runner.active, self.builder.stopping)  # type: ignore[arg-type]
        self.reconciler = Reconciler(
            db=db,
            clock=clock,
            names=place.names,
            engine=engine,  # type: ignore[arg-type]
            runner=self.runner,
            builder=self.builder,
            intake=self.intake,
            server=name,
            host="here",
            pid=1,
            alone=alone,
            in_background=lambda _, work: self.adopted.append(work),
        )
        self.deployer = Deployer(db, clock, place.names)
        self.comparer = Comparer(
            db, clock, place.names, checkouts, place.box, INTERVAL, lambda _, look: look() is None
        )
        self.conductor = Conductor(db, clock, place.names, place.box)
        outbox: Any = Mortal(place.outbox, fuse)
        self.messenger = Messenger(db, clock, place.box, outbox.post)

    def reconcile(self) -> None:
        self.reconciler.step()
        with suppress(EngineUnavailable):
            self.reconciler.sweep()
        while self.adopted:
            self.adopted.pop(0)()

    def turn(self) -> bool:
        """Every loop once; whether any of them had something to do."""
        loops = (
            self.intake,
            self.builder,
            self.runner,
            self.deployer,
            self.conductor,
            self.messenger,
        )
        return sum(loop.step() for loop in loops) > 0

    def until_running(self, containers: int = 1) -> None:
        """Wait until a runner in another thread has saved that so many containers run."""
        eventually(lambda: sum(len(each.handles) for each in self.runner.active.all()) >= containers)

    def work(self, rounds: int = 40, *, reconcile_first: bool = True) -> None:
        """Turn the crank until nothing is left to do, waiting out whatever has to be waited for."""
        if reconcile_first:
            self.reconcile()
        for _ in range(rounds):
            while self.turn():
                pass
            if not self.place.open_work():
                self.reconcile()
                return
            self.place.clock.advance(10)
            self.reconcile()
        raise AssertionError(f"never ends: {self.place.open_work()}")
