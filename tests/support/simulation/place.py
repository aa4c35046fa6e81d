"""An installation that costs little to make anew: its database is emptied and filled again, never made."""

from __future__ import annotations

import atexit
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from sqlalchemy import event

from app.bootstrap.forges import make_forge_apis
from app.commands.credentials import CredentialDraft, define_credential
from app.commands.notification_targets import TargetDraft, define_target
from app.domain.notifications import Kind, Rule
from app.runtime.disk import Disk
from app.runtime.log_storage import LogStorage
from app.runtime.signals import Signals
from app.secrets import SecretBox, first_ring
from app.store import builds, commit_statuses, deployments, epochs, notices, notifications, runs
from app.store.database import Database
from app.workers.build.slots import Slots
from app.workers.clock_changes import ClockChanges
from app.workers.notifying import NoticeWorker, NotifyingWorker
from app.workers.scheduler import Scheduler
from app.workers.statuses import StatusWorker
from tests.support.clock import Names
from tests.support.databases import empty_sqlite
from tests.support.fakes import Outbox, Repository
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.mortal import Fuse
from tests.support.simulation.hub import SimClock
from tests.support.simulation.outward import HubPool, Outward
from tests.support.simulation.world import SimBackend, SimDatabase, SimEngine, SimWorld

Rows = Mapping[str, Sequence[tuple[Any, ...]]]  # by table
EPOCH = "restored"
URL = "https://ci.example.com"


class Stored:
    """One database for all histories, that can be looked at, copied and set from outside."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(empty_sqlite())
        self.db = Database(f"sqlite:///{path}")
        event.listen(self.db._engine, "connect", _hurry)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        found = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        self._tables = [each["name"] for each in found if each["name"] != "alembic_version"]

    def rows(self, table: str) -> list[sqlite3.Row]:
        return self._connection.execute(f'SELECT * FROM "{table}"').fetchall()

    def rows_of(self, query: str, *values: str) -> list[sqlite3.Row]:
        return self._connection.execute(query, values).fetchall()

    def one(self, query: str, *values: str) -> Any:
        return self._connection.execute(query, values).fetchone()[0]

    def dump(self) -> Rows:
        found = {table: [tuple(row) for row in self.rows(table)] for table in self._tables}
        return {table: rows for table, rows in found.items() if rows}

    def fill(self, rows: Rows) -> None:
        self._connection.execute("PRAGMA foreign_keys = OFF")
        self._connection.execute("BEGIN IMMEDIATE")
        for table in self._tables:
            self._connection.execute(f'DELETE FROM "{table}"')
        for table, of_table in rows.items():
            places = ", ".join("?" * len(of_table[0]))
            self._connection.executemany(f'INSERT INTO "{table}" VALUES ({places})', of_table)
        self._connection.execute("COMMIT")


def _hurry(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")


@cache
def stored(name: str) -> Stored:
    return Stored(_folder() / f"{name}.db")


@cache
def _folder() -> Path:
    """In memory where there is such storage, until this process ends."""
    shared = Path("/dev/shm")
    folder = Path(mkdtemp(prefix="jobyard-simulation-", dir=shared if shared.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class NoSlots(Slots):
    """Builds don't wait for one another, and none starts a timer."""

    def __init__(self) -> None:
        super().__init__(1)

    def take(self, patience_seconds: float) -> bool:
        return True

    def give_back(self) -> None:
        pass

    def lent(self, should_stop: Callable[[], bool]) -> Any:
        return nullcontext()


REGISTERS = "registers"  # the task of a server that has just begun: its loops wait for it
# What each of a server's loops listens to.
LOOPS: Mapping[str, frozenset[str]] = {
    "reconciler": frozenset(),
    "sweeper": frozenset(),
    "disk": frozenset(),
    "watcher": frozenset({runs.STOPPING, builds.ENDING}),
    "scheduler": frozenset({"schedules"}),
    "intake": frozenset({"deliveries"}),
    "builder": frozenset({builds.QUEUED}),
    "runner": frozenset({runs.QUEUED}),
    "deployment_worker": frozenset({"deployments", builds.ENDING, runs.ENDED}),
    "statuses": frozenset({commit_statuses.TOPIC, "builds", "runs", deployments.TOPIC}),
    "noticing": frozenset({notices.TOPIC}),
    "sending": frozenset({notifications.TOPIC}),
}


# What shows, at the time that is given, that there is something for a loop.
LOOKS = {
    "intake": "SELECT max(id) FROM delivery WHERE status = 'received' AND owner IS NULL"
    " AND (available_at IS NULL OR available_at <= ?)",
    "builder": "SELECT max(id) FROM build WHERE status = 'queued' AND available_at <= ?",
    "runner": "SELECT max(id) FROM run WHERE status = 'queued' AND available_at <= ?",
    "deployment_worker": "SELECT max(id) FROM deployment WHERE status IN ('pending', 'running') AND ? > ''",
    "scheduler": "SELECT max(id) FROM job WHERE next_fire_at <= ?",
    "statuses": "SELECT max(id) FROM commit_status WHERE is_open OR due_at <= ?",
    "noticing": "SELECT max(id) FROM notice WHERE ? > ''",
    "sending": "SELECT max(id) FROM notification WHERE due_at <= ?",
}
OWNERS = """SELECT owner FROM run WHERE status = 'running' UNION ALL SELECT owner FROM build WHERE status = 'running'
    UNION ALL SELECT owner FROM delivery WHERE status = 'received' AND owner IS NOT NULL"""


def _text(clock: SimClock) -> str:
    """Now, as SQLite has times."""
    return f"{clock.now():%Y-%m-%d %H:%M:%S.%f}"


class SimServer(Server):
    """`due` are the loops that have something to look at; while it is `stalled_until` none of it goes on."""

    def __init__(self, place: Place, name: str, fuse: Fuse) -> None:
        self.number = min({0, 1} - {each.number for each in place.servers})
        db = SimDatabase(place.db, fuse, place.world, place.hear, is_alone=place.is_alone)
        super().__init__(place, name, db, fuse, alone=place.is_alone)
        disk, log_storage = Disk([place.root]), place.logbook_of(self.number)
        self.intake = replace(self.intake, disk=disk)
        self.runner = replace(self.runner, disk=disk, log_storage=log_storage)
        self.builder = replace(self.builder, disk=disk, log_storage=log_storage, slots=NoSlots())
        self.reconciler = replace(
            self.reconciler, intake=self.intake, runner=self.runner, builder=self.builder
        )
        self.disk = disk
        self.clock_changes = ClockChanges(db, place.clock)
        self.scheduler = Scheduler(db, place.clock, place.names, self.clock_changes)
        self._tell_by(place, db, log_storage)
        self.due = set(LOOPS)
        self.stalled_until = 0.0
        self.clock_was_set = True

    def _tell_by(self, place: Place, db: SimDatabase, log_storage: LogStorage) -> None:
        outward, fuse = place.outward, self.fuse
        posting = HubPool(fuse, lambda: self.due.add("statuses"))
        sending = HubPool(fuse, lambda: self.due.add("sending"))
        self.statuses = StatusWorker(
            db,
            place.clock,
            place.box,
            make_forge_apis(),
            partial(outward.take_status, fuse),
            URL,
            posting.give,
        )
        self.noticing = NoticeWorker(db, place.clock)
        self.sending = NotifyingWorker(
            db,
            place.clock,
            place.box,
            log_storage,
            partial(outward.take_message, fuse),
            partial(outward.take_mail, fuse),
            URL,
            sending,
        )

    def may_find(self, loop: str) -> bool:
        """False where a look would find nothing, as most do: looks cost the most of a history."""
        look = LOOKS.get(loop)
        stored, world = self.place.stored, self.place.world
        match loop:
            case "reconciler":
                alive = [
                    each.name for each in self.place.servers if each.stalled_until <= world.clock.steady()
                ]
                owners = Counter(row[0] for row in stored.rows_of(OWNERS))
                mine = owners.pop(self.name, 0)
                in_hand = sum(
                    len(each.claim_registry.claims) for each in (self.intake, self.builder, self.runner)
                )
                is_known = stored.one("SELECT count(*) FROM server WHERE id = ?", self.name)
                return not is_known or mine != in_hand or not owners.keys() <= set(alive)
            case "sweeper":
                return bool(world.containers)
            case "watcher":
                return bool(self.builder.stopping or self.runner.active.all())
            case "disk":
                return bool(world.is_full or self.disk.trouble)
            case "scheduler":
                return self.clock_was_set or stored.one(LOOKS[loop], _text(self.place.clock)) is not None
            case _:
                assert look is not None
                return stored.one(look, _text(self.place.clock)) is not None

    def step(self, loop: str) -> None:
        """Once; the loop stays due if there may be more."""
        self.due.discard(loop)
        if self._step(loop):
            self.due.add(loop)

    def _step(self, loop: str) -> bool:
        match loop:
            case "reconciler":
                self.reconciler.step()
                hub = self.place.world.hub
                while self.adopted:
                    hub.spawn(self.fuse, "adopted", self.adopted.pop(0))
                return False
            case "sweeper":
                self.reconciler.sweep()
                return False
            case "disk":
                self.disk.step(self.place.clock)
                return False
            case "watcher":
                self.watcher.step()
                return False
            case "scheduler":
                self.clock_changes.step()
                self.clock_was_set = False
                return self.scheduler.step()
            case "statuses" | "noticing" | "sending":  # what they begin rings when it is over
                getattr(self, loop).step()
                return False
            case _:
                return bool(getattr(self, loop).step())

    def let_go(self) -> None:
        """It is told to stop."""
        self.intake.release()
        self.reconciler.release()


@dataclass(frozen=True)
class Shape:
    """What jobs there are, made by `make`."""

    name: str
    make: Callable[[Installation], object]


class Place(Installation):
    """`is_alone` says that only one server works on it at a time, as with SQLite; with PostgreSQL there may be two."""

    def __init__(self, world: SimWorld, shape: Shape, *, is_alone: bool) -> None:
        self.world = world
        self.clock = world.clock
        self.names = Names()
        self.box = _box()
        self.engine = SimEngine(world)
        self.backend, self.outbox = SimBackend(world), Outbox()
        self.outward = Outward(world)
        self.epoch = ""
        self.is_alone = is_alone
        self.servers: list[SimServer] = []
        self.pushed: list[str] = []  # deliveries that were accepted
        self.asked: list[int] = []  # runs that were asked for
        self.cancelled: set[int] = set()  # runs whose end was asked for
        self.is_dead = False  # no server will ever work on it again
        self._settle_in("live")
        self.repository = Repository(self.root / "checkouts")
        rows, self.project = _template(shape)
        self.stored.fill(rows)

    def _settle_in(self, name: str) -> None:
        self.root = _folder() / name
        shutil.rmtree(self.root, ignore_errors=True)
        (self.root / "checkouts").mkdir(parents=True)
        self.stored = stored(name)
        self.db = self.stored.db

    def logbook_of(self, number: int) -> LogStorage:
        """Each of two servers has a data directory of its own."""
        return LogStorage(self.root / str(number), Signals(), cap_bytes=self.log_cap_bytes)

    def logs_of(self, run_id: int, attempt: int) -> list[bytes]:
        paths = [self.logbook_of(number).attempt_path(run_id, attempt) for number in (0, 1)]
        return [path.read_bytes() for path in paths if path.exists()]

    def restored_beside(self) -> Place:
        """What a backup that is made now gives."""
        other = copy(self)
        other.epoch, other.is_alone = EPOCH, True
        other.servers, other.pushed = [], [*self.pushed]
        other.asked, other.cancelled = [*self.asked], {*self.cancelled}
        other.engine, other.outward = SimEngine(self.world, epoch=EPOCH), self.outward.restored()
        other._settle_in("copy")
        other.stored.fill(self.stored.dump())
        for logs in (self.root / "0", self.root / "1"):
            if logs.exists():
                shutil.copytree(logs, other.root / logs.name)
        with other.db.write() as tx:
            epochs.begin(tx, EPOCH, self.clock.now())
        return other

    def start_server(self, name: str, fuse: Fuse) -> SimServer:
        server = SimServer(self, name, fuse)
        self.servers.append(server)
        self.world.hub.spawn(fuse, REGISTERS, server.reconciler.register)
        return server

    def hear(self, topics: frozenset[str]) -> None:
        for server in self.servers:
            server.due |= {loop for loop, heard in LOOPS.items() if heard & topics}

    def ring(self, *but: str) -> None:
        """As the polls do after a while."""
        for server in self.servers:
            server.due |= LOOPS.keys() - set(but)

    def has(self, column: str) -> bool:
        """Whether any job has it now."""
        return bool(self.stored.one(f"SELECT max({column} > 0) FROM job"))

    @property
    def is_open(self) -> bool:
        return bool(self.stored.one(_OPEN))

    @property
    def is_telling(self) -> bool:
        """Whether somebody is to be told who answers."""
        return bool(self.stored.one(_TELLING))


_OPEN = """SELECT EXISTS(SELECT 1 FROM delivery WHERE status = 'received')
    OR EXISTS(SELECT 1 FROM build WHERE status IN ('queued', 'running'))
    OR EXISTS(SELECT 1 FROM run WHERE status IN ('queued', 'running'))
    OR EXISTS(SELECT 1 FROM deployment WHERE status IN ('pending', 'running'))"""
_TELLING = """SELECT EXISTS(SELECT 1 FROM notice)
    OR EXISTS(SELECT 1 FROM commit_status WHERE is_open OR due_at IS NOT NULL)
    OR EXISTS(SELECT 1 FROM notification WHERE due_at IS NOT NULL
        AND target_id IN (SELECT id FROM notification_target WHERE kind != 'email'))"""


TARGETS = (
    ("chat", Kind.SLACK, "https://hooks.slack.com/services/T0/B0/secret", (Rule.END,)),
    ("mail", Kind.EMAIL, "ada@example.com", (Rule.FAILURE, Rule.MISSED, Rule.BUILD_FAILURE, Rule.DEPLOYMENT)),
)


@cache
def _box() -> SecretBox:
    return SecretBox(first_ring(b"a key of the tests, random enough"))


@cache
def _template(shape: Shape) -> tuple[Rows, Any]:
    place = Installation(_folder() / "template", (made := stored(shape.name)).db)
    shape.make(place)
    _tell_everybody(place)
    return made.dump(), place.project


def _tell_everybody(place: Installation) -> None:
    """A forge that takes statuses, a chat, and a mail server."""
    now = place.clock.now()
    with place.db.write() as tx:
        draft = CredentialDraft(name="github", kind="git", host="github.com", username="", secret="token")
        define_credential(tx, place.box, place.project, draft, now)
        for name, kind, address, on in TARGETS:
            define_target(tx, place.box, place.project, TargetDraft(name, kind, on, address=address), now)
