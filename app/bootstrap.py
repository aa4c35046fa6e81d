"""The composition root: the only file that names concrete engines, reads the clock, and wires everything once."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.applications import Starlette

from app.checkout import Checkouts
from app.config import Settings
from app.disk import fault_of
from app.domain.errors import UserError
from app.domain.references import Ours
from app.engines.base import Engine, Owned
from app.engines.docker import DockerEngine
from app.engines.process import ProcessEngine
from app.forges.github import GitHub
from app.orchestration.access import without_host
from app.orchestration.building import Builder
from app.orchestration.clock_changes import ClockChanges
from app.orchestration.comparing import Comparer
from app.orchestration.disk import Disk
from app.orchestration.engine_health import EngineHealth, EngineWatch, ask
from app.orchestration.execution.active import Active
from app.orchestration.execution.crew import Crew
from app.orchestration.execution.health import HealthChecks
from app.orchestration.execution.running import Runner
from app.orchestration.execution.sampling import Sampler
from app.orchestration.execution.watching import Watcher
from app.orchestration.intake import Intake
from app.orchestration.logbook import Logbook
from app.orchestration.ports import Clock, Names
from app.orchestration.publishing import Publisher
from app.orchestration.reconciling import Reconciler
from app.orchestration.rehearsal import Rehearsal
from app.orchestration.releases.advancing import Deployer
from app.orchestration.releases.conducting import Conductor
from app.orchestration.releases.telling import Messenger
from app.orchestration.resolving import Resolver
from app.orchestration.scheduling import Scheduler
from app.orchestration.signals import Bell, Signals
from app.orchestration.slots import Slots
from app.orchestration.supervisor import Supervisor
from app.posting import post_message
from app.secrets import SecretBox, SecretKeyError, load_or_create_key
from app.store import access, builds, credentials, epochs, runs
from app.store.database import Database
from app.store.inbox import Inbox
from app.web.app import create_app
from app.web.principal import digest
from app.web.yard import Yard
from builders import private
from builders.backends.base import ImageBackend
from builders.backends.buildkit import BuildKitCli
from builders.backends.local import LocalBackend
from builders.backends.push import RegistryPush

log = logging.getLogger(__name__)
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
INSTALLATION, KEY_CHECK = "installation", "key_check"
INTAKE_GIT_SECONDS, INTAKE_STALL_SECONDS = (
    60.0,
    10,
)  # a delivery waits no longer for Git: its push builds then
PROBES_AT_ONCE, READINGS_AT_ONCE, LOOKS_AT_ONCE = 8, 4, 8
ENGINE_SECONDS, COMMAND_SECONDS = 60.0, 10.0  # for one answer of the engine; for one that a command waits for


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def ticks(self) -> float:
        return time.monotonic()


class RandomNames:
    """No vowels, so that no words come out; no digits that look like letters."""

    LETTERS = b"bcdfghjkmnpqrstvwxyz23456789acuh"  # 32: five bits of chance a letter
    LENGTH = 7

    def suffix(self) -> str:
        return secrets.token_bytes(self.LENGTH).translate(self.LETTERS * 8).decode()


@dataclass(frozen=True)
class Installation:
    """A data directory with its store and key, ready to be served or administered. `epoch` as in `store.epochs`."""

    settings: Settings
    db: Database
    box: SecretBox
    signals: Signals
    clock: Clock
    id: str
    epoch: str

    @property
    def image_name(self) -> str:
        """Under which the images of its builds are tagged."""
        return f"jobyard-{self.id}{self.epoch and f'-{self.epoch}'}"


@contextmanager
def open_installation(settings: Settings) -> Iterator[Installation]:
    """Make or open the data directory, bring the store up to date and check the key. Raises UserError."""
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"JOBYARD_DATA: the directory {settings.data} can't be made ({error.strerror})."
        raise UserError(message) from error
    _refuse_remains(settings)
    signals = Signals()
    db = Database(settings.store_url, on_commit=signals.publish)
    try:
        db.migrate()
        with db.read() as tx:
            is_sealed = access.setting(tx, KEY_CHECK) is not None
        box = SecretBox([_secret_key(settings, is_sealed=is_sealed)])
        id_, epoch = _identity(db, box)
        yield Installation(settings, db, box, signals, SystemClock(), id_, epoch)
    finally:
        db.close()


def _refuse_remains(settings: Settings) -> None:
    """A directory that was in use is no place for a new database, whose runs would get the logs of others.

    A key that somebody brings along, without anything else, is fine.
    """
    if not settings.store_url.startswith("sqlite:///"):
        return
    database = Path(settings.store_url.removeprefix("sqlite:///"))
    logs, key = settings.data / "logs", settings.key_file
    remains = [each.name for each in (logs, key) if each.exists()]
    if has_content(database) or not remains or (remains == [key.name] and not database.exists()):
        return
    raise UserError(
        f"The database {database} is {'empty' if database.exists() else 'missing'}, though an earlier one has left "
        f"{' and '.join(remains)} beside it: restore a backup into a new directory, or begin anew in an empty one; "
        "JOBYARD_DATA names it."
    )


def has_content(database: Path) -> bool:
    """Of SQLite's: what was committed may be in its log alone."""
    files = (database, database.with_name(f"{database.name}-wal"))
    return any(each.is_file() and each.stat().st_size > 0 for each in files)


def _secret_key(settings: Settings, *, is_sealed: bool) -> bytes:
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    if is_sealed and not settings.key_file.exists():
        raise SecretKeyError(missing_key(settings.key_file))
    return load_or_create_key(settings.key_file)


def missing_key(file: Path) -> str:
    return (
        f"The key file {file} is missing, and the database was sealed with the key it held: restore it from a backup, "
        "or set JOBYARD_SECRET_KEY to that key."
    )


def _identity(db: Database, box: SecretBox) -> tuple[str, str]:
    """The id this installation's containers are labelled with, and its epoch; the id is made, with the key's check, on
    the first start."""
    with db.write() as tx:
        known = access.setting(tx, INSTALLATION)
        check = access.setting(tx, KEY_CHECK)
        if check is None:
            access.set_setting(tx, KEY_CHECK, box.key_check())
        else:
            box.verify(check)
        if known is None:
            known = secrets.token_hex(6)
            access.set_setting(tx, INSTALLATION, known)
        return known, epochs.current(tx)


def begin_epoch(db: Database) -> tuple[str, str]:
    """Make a copy of an installation's data one of its own: the installation's id, and the new epoch.

    Raises UserError if a server works on it, or it is no installation's.
    """
    now, epoch = SystemClock().now(), secrets.token_hex(4)
    with db.write() as tx:
        known = access.setting(tx, INSTALLATION)
        if known is None:
            raise UserError("The database is not one that a server of Jobyard has worked on.")
        epochs.begin(tx, epoch, now)
        return known, epoch


def of_other_epochs(settings: Settings, installation: str, epoch: str) -> Sequence[Owned]:
    """What the engine has from before a new epoch. Raises UserError, EngineUnavailable."""
    engine = make_engine(settings, installation, SystemClock(), epoch, COMMAND_SECONDS)
    try:
        return engine.of_other_epochs()
    finally:
        engine.close()


@contextmanager
def only_server(settings: Settings, *, is_sqlite: bool) -> Iterator[bool]:
    """Hold the data directory's lock while serving. Yields whether that proves that no other server is alive.

    Raises UserError if another server has it. With PostgreSQL several servers may share the database.
    """
    if not is_sqlite:
        yield False
        return
    try:
        lock_file = (settings.data / "server.lock").open("w")
    except OSError as error:
        raise fault_of(error, settings.data.resolve()) from error
    with lock_file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"Another server is running on {settings.data.resolve()}: stop it, or set JOBYARD_DATA."
            raise UserError(message) from error
        yield True


def credentials_without_host(db: Database) -> list[str]:
    """A sentence for each credential that is of no use until it has a host."""
    with db.read() as tx:
        return [f"Project {project}: {without_host(name)}" for project, name in credentials.without_host(tx)]


def ask_engine(settings: Settings) -> EngineHealth:
    """Whether the engine of these settings answers, for a command that wants to know."""
    engine = make_engine(settings, "asking", SystemClock())
    try:
        return ask(engine)
    finally:
        engine.close()


def make_engine(
    settings: Settings,
    installation: str,
    clock: Clock,
    epoch: str = "",
    answers_within: float = ENGINE_SECONDS,
) -> Engine:
    """`answers_within` is how long it may take for one answer, in seconds."""
    match settings.engine:
        case "docker":
            return DockerEngine(
                url=settings.docker_host,
                installation=installation,
                clock=clock.now,
                timeout_seconds=answers_within,
                isolate_network=settings.network == "isolated",
                boot_id=_boot_id(settings),
                epoch=epoch,
            )
        case "process":
            root = settings.data.resolve() / "process" / "containers"
            return ProcessEngine(root=root, clock=clock.now, epoch=epoch)


def ours_of(installation: Installation) -> Ours:
    return Ours(installation.image_name, installation.settings.registry)


def make_publisher(installation: Installation) -> Publisher | None:
    settings = installation.settings
    if settings.registry is None:
        return None
    if settings.engine != "docker":
        raise UserError(
            f"JOBYARD_REGISTRY: what JOBYARD_ENGINE={settings.engine} builds stays on this machine; unset one of them."
        )
    return Publisher(installation.db, installation.box, settings.registry, RegistryPush(settings.docker_host))


def _boot_id(settings: Settings) -> str:
    """Of this machine, where the engine runs on it and the system tells."""
    is_here = settings.docker_host is None or settings.docker_host.startswith("unix:")
    return BOOT_ID.read_text().strip() if is_here and BOOT_ID.is_file() else ""


def make_backend(settings: Settings) -> ImageBackend:
    """What makes images that `make_engine`'s engine can run."""
    if settings.engine == "process":
        return LocalBackend(settings.data.resolve() / "process" / "images")
    return BuildKitCli(settings.docker_host)


@contextmanager
def open_server(settings: Settings, listening_url: str) -> Iterator[Starlette]:
    """The application with all its loops, which run while it serves."""
    with (
        open_installation(settings) as installation,
        only_server(settings, is_sqlite=installation.db.is_sqlite) as alone,
    ):
        for directory in private.sweep(installation.clock.now().timestamp()):
            log.info("removed %s, which a process that was killed has left", directory)
        for sentence in credentials_without_host(installation.db):
            log.warning(sentence)
        inbox = Inbox(installation.db)
        engine = make_engine(settings, installation.id, installation.clock, installation.epoch)
        checkouts = Checkouts(
            settings.data.resolve() / "checkouts",
            allow=settings.transports,
            git_time_limit_seconds=settings.git_time_limit_seconds,
        )
        logbook = Logbook(
            settings.data.resolve() / "logs", installation.signals, settings.log_cap_mb * 1024 * 1024
        )
        watch = EngineWatch(engine)
        resolver = Resolver(installation.db, engine, installation.box, ours_of(installation), watch.health)
        disk = Disk(_directories(settings))
        supervisor = _supervisor(installation, inbox, engine, watch, checkouts, logbook, disk, alone=alone)
        yard = Yard(
            db=installation.db,
            inbox=inbox,
            clock=installation.clock,
            names=RandomNames(),
            vault=installation.box,
            signals=installation.signals,
            logbook=logbook,
            forges={"github": GitHub()},
            plans=settings.sizes,
            ours=ours_of(installation),
            public_url=settings.public_url or listening_url,
            is_public_url_set=settings.public_url is not None,
            check_git_url=checkouts.validate_url,
            pin_image=resolver.pin,
            require_images=resolver.require,
            engine_health=watch.health,
            rehearsal=Rehearsal(
                installation.db, installation.clock, {"github": GitHub()}, checkouts, installation.box
            ),
            disk=disk,
            admin_token_hash=_admin_token_hash(settings),
        )
        try:
            yield create_app(yard, _running(supervisor))
        finally:
            inbox.close()
            engine.close()


def _directories(settings: Settings) -> list[Path]:
    """Those that nothing works without: of the data, and of SQLite's database where that is elsewhere."""
    found = [settings.data.resolve()]
    if settings.store_url.startswith("sqlite:///"):
        found.append(Path(settings.store_url.removeprefix("sqlite:///")).resolve().parent)
    return list(dict.fromkeys(found))


def _running(supervisor: Supervisor) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def running() -> Iterator[None]:
        supervisor.start()
        try:
            yield
        finally:
            supervisor.stop()

    return running


def _supervisor(
    installation: Installation,
    inbox: Inbox,
    engine: Engine,
    watch: EngineWatch,
    checkouts: Checkouts,
    logbook: Logbook,
    disk: Disk,
    *,
    alone: bool,
) -> Supervisor:
    settings, db, clock = installation.settings, installation.db, installation.clock
    server, names = f"{socket.gethostname()}-{secrets.token_hex(4)}", RandomNames()
    watcher_bell, health_bell, metrics_bell = Bell(runs.STOPPING, builds.ENDING), Bell(), Bell()

    def on_change() -> None:
        for bell in (watcher_bell, health_bell, metrics_bell):
            bell.ring()

    changes = ClockChanges(db, clock)
    runner = _runner(installation, server, engine, logbook, disk, Active(on_change))
    builder = _builder(installation, server, names, checkouts, logbook, disk)
    impatient = replace(
        checkouts,
        git_time_limit_seconds=min(settings.git_time_limit_seconds, INTAKE_GIT_SECONDS),
        stall_seconds=INTAKE_STALL_SECONDS,
    )
    intake = Intake(db, clock, names, server, {"github": GitHub()}, impatient, installation.box, disk=disk)
    return Supervisor(
        db=db,
        clock=clock,
        signals=installation.signals,
        inbox=inbox,
        engine_watch=watch,
        intake=intake,
        builder=builder,
        runner=runner,
        watcher=Watcher(db, clock, engine, runner.active, builder.stopping),
        watcher_bell=watcher_bell,
        health=HealthChecks(
            db, clock, engine, runner.active, logbook, Crew("health", PROBES_AT_ONCE, health_bell.ring)
        ),
        health_bell=health_bell,
        sampler=Sampler(
            clock,
            engine,
            runner.active,
            logbook,
            timedelta(seconds=settings.metrics_seconds),
            Crew("metrics", READINGS_AT_ONCE),
        ),
        metrics_bell=metrics_bell,
        reconciler=Reconciler(
            db,
            clock,
            names,
            engine,
            runner,
            builder,
            intake,
            server,
            socket.gethostname(),
            os.getpid(),
            alone=alone,
        ),
        clock_changes=changes,
        scheduler=Scheduler(db, clock, names, changes),
        deployer=Deployer(db, clock, names),
        conductor=Conductor(db, clock, names, installation.box),
        messenger=Messenger(db, clock, installation.box, post_message),
        comparer=_comparer(installation, names, impatient),
        disk=disk,
        build_workers=settings.workers_builds,
        run_workers=settings.workers_runs,
    )


def _comparer(installation: Installation, names: Names, checkouts: Checkouts) -> Comparer | None:
    minutes = installation.settings.reconcile_minutes
    if minutes == 0:
        return None
    return Comparer(
        db=installation.db,
        clock=installation.clock,
        names=names,
        checkouts=checkouts,
        vault=installation.box,
        interval=timedelta(minutes=minutes),
        give=Crew("comparer", LOOKS_AT_ONCE).give,
    )


def _runner(
    installation: Installation, server: str, engine: Engine, logbook: Logbook, disk: Disk, active: Active
) -> Runner:
    return Runner(
        db=installation.db,
        clock=installation.clock,
        owner=server,
        engine=engine,
        vault=installation.box,
        logbook=logbook,
        plans=installation.settings.sizes,
        ours=ours_of(installation),
        epoch=installation.epoch,
        active=active,
        disk=disk,
    )


def _builder(
    installation: Installation, server: str, names: Names, checkouts: Checkouts, logbook: Logbook, disk: Disk
) -> Builder:
    return Builder(
        db=installation.db,
        clock=installation.clock,
        names=names,
        owner=server,
        checkouts=checkouts,
        backend=make_backend(installation.settings),
        vault=installation.box,
        logbook=logbook,
        ours=ours_of(installation),
        publisher=make_publisher(installation),
        disk=disk,
        slots=Slots(installation.settings.workers_builds),
    )


def _admin_token_hash(settings: Settings) -> str | None:
    token = settings.admin_token
    return None if token is None else digest(token.get_secret_value())
