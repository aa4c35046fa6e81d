"""The composition root: the only file that names concrete engines, and wires everything once."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from starlette.applications import Starlette

from app.backups.buckets import SCHEME
from app.checkout import Checkouts
from app.commands.dry_run import DryRun
from app.commands.image_resolution import Resolver
from app.commands.image_retention import ImageRetention
from app.commands.log_limits import LogLimits
from app.commands.registry_retention import RegistryRetention
from app.commands.retention import Retention
from app.commands.sign_in import Desk
from app.commands.tokens import digest
from app.config import Settings, read_bucket
from app.domain.errors import EngineUnavailable, UserError
from app.domain.plans import MIB
from app.engines.base import Confinement, Engine, Owned
from app.engines.docker import DockerEngine
from app.engines.process import ProcessEngine
from app.forges.github import GitHub
from app.http_notifier import post_message
from app.installation import (
    Installation,
    backup_source,
    credentials_without_host,
    is_drill,
    only_server,
    open_installation,
)
from app.mail import Mailer
from app.runtime.disk import Disk
from app.runtime.engine_health import EngineHealth, EngineWatch, ask
from app.runtime.log_storage import LogStorage
from app.runtime.ports import Clock, IdentityProvider
from app.runtime.signals import Waker
from app.runtime.threads import KeyedThreadPool
from app.runtime.turns import Turns
from app.store import builds, runs
from app.store.inbox import Inbox
from app.store.sessions import SessionLimits
from app.system import RandomNames, SystemClock
from app.web.app import create_app
from app.web.server_context import ServerContext
from app.workers.backups import BackupWorker
from app.workers.build.builder import Builder
from app.workers.build.publisher import Publisher
from app.workers.build.slots import Slots
from app.workers.clock_changes import ClockChanges
from app.workers.deployments import DeploymentWorker
from app.workers.flows import FlowWorker
from app.workers.image_names import ImageNames
from app.workers.intake import Intake
from app.workers.lookout import Lookout
from app.workers.mail import MailWorker
from app.workers.notifications import NotificationWorker
from app.workers.reconciler import Reconciler
from app.workers.remote_poller import RemotePoller
from app.workers.retention import RetentionWorker
from app.workers.run.active import Active
from app.workers.run.health_checks import HealthChecks
from app.workers.run.metrics import Sampler
from app.workers.run.runner import Runner
from app.workers.run.watcher import Watcher
from app.workers.scheduler import Scheduler
from app.workers.supervisor import Supervisor
from builders import private
from builders.backends.base import ImageBackend
from builders.backends.buildkit import BuildKitCli
from builders.backends.local import LocalBackend
from builders.backends.push import RegistryPush
from builders.backends.step_limits import StepLimits

log = logging.getLogger(__name__)
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# A delivery waits no longer for Git: its push builds then.
INTAKE_GIT_SECONDS, INTAKE_STALL_SECONDS = 60.0, 10
PROBES_AT_ONCE, READINGS_AT_ONCE, LOOKS_AT_ONCE = 8, 4, 8
ENGINE_SECONDS, COMMAND_SECONDS = 60.0, 10.0  # for one answer of the engine; for one that a command waits for


def of_other_epochs(settings: Settings, installation: str, epoch: str) -> Sequence[Owned]:
    """Return the engine's containers from before the new epoch. Raises UserError, EngineUnavailable."""
    engine = make_engine(settings, installation, SystemClock(), epoch, COMMAND_SECONDS)
    try:
        return engine.of_other_epochs()
    finally:
        engine.close()


def ask_engine(settings: Settings) -> EngineHealth:
    """Return the health of the engine that the settings name, asked now and once."""
    engine = make_engine(settings, "asking", SystemClock())
    try:
        return ask(engine)
    finally:
        engine.close()


def ask_confinement(settings: Settings, installation: str) -> Confinement:
    """Return how far what containers may reach is enforced where the settings are these. Raises EngineUnavailable."""
    engine = make_engine(settings, installation, SystemClock(), confines=True)
    try:
        return engine.confinement()
    finally:
        engine.close()


def ask_disk_refusal(settings: Settings) -> str:
    """Return why the engine can't bound the disk of runs as the settings say, if so. Raises EngineUnavailable."""
    engine = make_engine(settings, "asking", SystemClock())
    try:
        return engine.disk_refusal(settings.run_disk_mb * MIB)
    finally:
        engine.close()


def make_engine(
    settings: Settings,
    installation: str,
    clock: Clock,
    epoch: str = "",
    answers_within: float = ENGINE_SECONDS,
    *,
    confines: bool = False,
) -> Engine:
    """Return the engine that the settings name. `answers_within` is how long one answer may take, in seconds;
    `confines` has it enforce what containers may reach.
    """
    match settings.engine:
        case "docker":
            return DockerEngine(
                url=settings.docker_host,
                installation=installation,
                clock=clock.now,
                timeout_seconds=answers_within,
                isolate_network=settings.network == "isolated",
                egress=settings.may_reach,
                confines=confines,
                boot_id=_boot_id(settings),
                epoch=epoch,
            )
        case "process":
            root = settings.data.resolve() / "process" / "containers"
            return ProcessEngine(root=root, clock=clock.now, epoch=epoch)


def make_provider(settings: Settings) -> IdentityProvider | None:
    """Return where people sign in by OpenID Connect, if that is set. Nothing is asked yet."""
    if settings.oidc is None:
        return None
    from app.oidc import Provider  # with what it imports it takes memory that others need not spend

    own = settings.oidc
    return Provider(own.issuer, own.client_id, own.client_secret, own.role_claim)


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
    """Return the id of this machine's boot; empty where the engine runs elsewhere or the system has none."""
    return BOOT_ID.read_text().strip() if settings.has_local_engine and BOOT_ID.is_file() else ""


def make_backend(settings: Settings) -> ImageBackend:
    """Return what builds images that `make_engine`'s engine can run."""
    if settings.engine == "process":
        return LocalBackend(settings.data.resolve() / "process" / "images")
    limits = StepLimits(
        settings.build_cpus, settings.build_memory_mb * MIB, setting="JOBYARD_BUILD_MEMORY_MB"
    )
    return BuildKitCli(settings.docker_host, limits=limits if settings.has_local_engine else None)


@contextmanager
def open_server(settings: Settings, listening_url: str) -> Iterator[Starlette]:
    """Yield the application; its loops run while it serves. Raises UserError."""
    with (
        open_installation(settings) as installation,
        only_server(settings, is_sqlite=installation.db.is_sqlite) as alone,
    ):
        for directory in private.sweep(installation.clock.now().timestamp()):
            log.info("removed %s, which a process that was killed has left", directory)
        for sentence in credentials_without_host(installation.db):
            log.warning(sentence)
        parts, drill = Parts.of(installation), is_drill(installation.db)
        if drill:
            log.warning("the data was restored for a drill: no loop runs until `jobyard new-epoch` is called")
        running = nullcontext if drill else _running(parts.supervisor(alone=alone))
        try:
            yield create_app(parts.server_context(listening_url), running)
        finally:
            parts.inbox.close()
            if not drill:  # it confined nothing
                with suppress(EngineUnavailable):
                    parts.engine.unconfine()
            parts.engine.close()


def _running(supervisor: Supervisor) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def running() -> Iterator[None]:
        supervisor.start()
        try:
            yield
        finally:
            supervisor.stop()

    return running


@dataclass(frozen=True)
class Parts:
    """What the pages and the loops of one server share, and how each of them is made of it."""

    installation: Installation
    server: str
    names: RandomNames
    inbox: Inbox
    engine: Engine
    watch: EngineWatch
    checkouts: Checkouts
    log_storage: LogStorage
    retention: Retention
    disk: Disk
    active: Active
    stops: Waker
    checks: Waker
    readings: Waker
    turns: Turns

    @classmethod
    def of(cls, installation: Installation) -> Parts:
        settings, data = installation.settings, installation.settings.data.resolve()
        engine = make_engine(settings, installation.id, installation.clock, installation.epoch, confines=True)
        stops, checks, readings = Waker(runs.STOPPING, builds.ENDING), Waker(), Waker()
        watch = EngineWatch(engine, run_disk_mb=settings.run_disk_mb)
        images = ImageRetention(
            installation.db, engine, installation.ours, watch.health, settings.build_cache_gb
        )
        log_storage = LogStorage(data / "logs", installation.signals, settings.log_cap_mb * 1024 * 1024)

        def on_change() -> None:
            for waker in (stops, checks, readings):
                waker.ring()

        return cls(
            installation=installation,
            server=f"{socket.gethostname()}-{secrets.token_hex(4)}",
            names=RandomNames(),
            inbox=Inbox(installation.db),
            engine=engine,
            watch=watch,
            checkouts=Checkouts(
                data / "checkouts",
                allow=settings.transports,
                git_time_limit_seconds=settings.git_time_limit_seconds,
            ),
            log_storage=log_storage,
            retention=Retention(
                installation.db,
                installation.clock,
                log_storage,
                settings.retention,
                installation.ours,
                images=images,
            ),
            disk=Disk(_directories(settings), engine_directory=partial(_engine_directory, settings, watch)),
            active=Active(on_change),
            stops=stops,
            checks=checks,
            readings=readings,
            turns=Turns(),
        )

    @property
    def impatient(self) -> Checkouts:
        """Return the checkouts for what others wait for: their Git commands have less time."""
        limit = min(self.installation.settings.git_time_limit_seconds, INTAKE_GIT_SECONDS)
        return replace(self.checkouts, git_time_limit_seconds=limit, stall_seconds=INTAKE_STALL_SECONDS)

    def server_context(self, listening_url: str) -> ServerContext:
        own, settings = self.installation, self.installation.settings
        resolver = Resolver(own.db, self.engine, own.box, own.ours, self.watch.health)
        forges = {"github": GitHub()}
        return ServerContext(
            db=own.db,
            inbox=self.inbox,
            clock=own.clock,
            names=self.names,
            vault=own.box,
            signals=own.signals,
            log_storage=self.log_storage,
            forges=forges,
            plans=settings.sizes,
            ours=own.ours,
            public_url=settings.public_url or listening_url,
            is_public_url_set=settings.public_url is not None,
            check_git_url=self.checkouts.validate_url,
            pin_image=resolver.pin,
            missing_images=resolver.missing,
            engine_health=self.watch.health,
            retention=self.retention,
            dry_run=DryRun(own.db, own.clock, forges, self.checkouts, own.box),
            disk=self.disk,
            turns=self.turns,
            admin_token_hash=_admin_token_hash(settings),
            desk=Desk(limits=_session_limits(settings)),
            provider=make_provider(settings),
            sends_mail=settings.mail_server is not None,
            backups=settings.backups,
        )

    def supervisor(self, *, alone: bool) -> Supervisor:
        """Return the supervisor. `alone` means that certainly no other server works on the database."""
        own, settings = self.installation, self.installation.settings
        db, clock = own.db, own.clock
        changes = ClockChanges(db, clock)
        runner, builder, intake = self.runner(), self.builder(), self.intake()
        return Supervisor(
            db=db,
            clock=clock,
            signals=own.signals,
            inbox=self.inbox,
            engine_watch=self.watch,
            intake=intake,
            builder=builder,
            runner=runner,
            watcher=Watcher(db, clock, self.engine, self.active, builder.stopping),
            watcher_bell=self.stops,
            health=self.health_checks(),
            health_bell=self.checks,
            sampler=self.sampler(),
            metrics_bell=self.readings,
            reconciler=self.reconciler(runner, builder, intake, alone=alone),
            image_names=ImageNames(self.engine, own.box, own.ours),
            clock_changes=changes,
            lookout=Lookout(db, clock),
            scheduler=Scheduler(db, clock, self.names, changes),
            deployment_worker=DeploymentWorker(db, clock, self.names),
            flow_worker=FlowWorker(db, clock, self.names, own.box),
            notification_worker=NotificationWorker(
                db, clock, own.box, partial(post_message, own.settings.may_reach)
            ),
            mail_worker=self.mail_worker(),
            remote_poller=self.remote_poller(),
            retention_worker=self.retention_loop(),
            backup_worker=self.backup_worker(),
            disk=self.disk,
            turns=self.turns,
            build_workers=settings.workers_builds,
            run_workers=settings.workers_runs,
        )

    def intake(self) -> Intake:
        own, forges = self.installation, {"github": GitHub()}
        return Intake(
            own.db, own.clock, self.names, self.server, forges, self.impatient, own.box, disk=self.disk
        )

    def runner(self) -> Runner:
        own = self.installation
        return Runner(
            db=own.db,
            clock=own.clock,
            owner=self.server,
            engine=self.engine,
            vault=own.box,
            log_storage=self.log_storage,
            plans=own.settings.sizes,
            ours=own.ours,
            epoch=own.epoch,
            disk_bytes=own.settings.run_disk_mb * MIB,
            active=self.active,
            disk=self.disk,
            engine_is_up=self._engine_is_up,
        )

    def builder(self) -> Builder:
        own = self.installation
        return Builder(
            db=own.db,
            clock=own.clock,
            names=self.names,
            owner=self.server,
            checkouts=self.checkouts,
            backend=make_backend(own.settings),
            vault=own.box,
            log_storage=self.log_storage,
            ours=own.ours,
            publisher=make_publisher(own),
            disk=self.disk,
            engine_is_up=self._engine_is_up,
            confine=self.engine.confine,
            egress=own.settings.may_reach,
            slots=Slots(own.settings.workers_builds),
        )

    def _engine_is_up(self) -> bool:
        return self.watch.health().is_up

    def health_checks(self) -> HealthChecks:
        own, pool = self.installation, KeyedThreadPool("health", PROBES_AT_ONCE, self.checks.ring)
        return HealthChecks(own.db, own.clock, self.engine, self.active, self.log_storage, pool)

    def sampler(self) -> Sampler:
        own = self.installation
        every, pool = (
            timedelta(seconds=own.settings.metrics_seconds),
            KeyedThreadPool("metrics", READINGS_AT_ONCE),
        )
        return Sampler(own.clock, self.engine, self.active, self.log_storage, every, pool)

    def reconciler(self, runner: Runner, builder: Builder, intake: Intake, *, alone: bool) -> Reconciler:
        own = self.installation
        return Reconciler(
            own.db,
            own.clock,
            self.names,
            self.engine,
            runner,
            builder,
            intake,
            self.server,
            socket.gethostname(),
            os.getpid(),
            alone=alone,
            keys_in_use=own.box.in_use,
        )

    def retention_loop(self) -> RetentionWorker:
        own = self.installation
        registry = RegistryRetention(own.db, own.clock, own.box, own.ours) if own.ours.registry else None
        log_limits = LogLimits(own.db, self.log_storage)
        return RetentionWorker(own.db, own.clock, self.retention, self.checkouts, registry, log_limits)

    def backup_worker(self) -> BackupWorker | None:
        own = self.installation
        plan = own.settings.backups
        if plan is None:
            return None
        from app.commands.backups import ScheduledBackups  # with what it imports, which few servers need

        is_in_bucket = plan.to.startswith(SCHEME)
        with_key = not is_in_bucket if plan.with_key is None else plan.with_key
        source = backup_source(own.settings, own.db, with_key=with_key)
        place = ScheduledBackups(source, plan.to, read_bucket(), own.id, own.epoch)
        return BackupWorker(own.db, own.clock, self.server, plan, place)

    def mail_worker(self) -> MailWorker | None:
        own = self.installation
        server = own.settings.mail_server
        if server is None or own.settings.public_url is None:
            return None
        return MailWorker(own.db, own.clock, own.box, Mailer(server).send, own.settings.public_url)

    def remote_poller(self) -> RemotePoller | None:
        own = self.installation
        if own.settings.reconcile_minutes == 0:
            return None
        return RemotePoller(
            db=own.db,
            clock=own.clock,
            names=self.names,
            checkouts=self.impatient,
            vault=own.box,
            interval=timedelta(minutes=own.settings.reconcile_minutes),
            give=KeyedThreadPool("remote-poller", LOOKS_AT_ONCE).give,
        )


def _directories(settings: Settings) -> list[Path]:
    """Return the directories that nothing works without: the data's, and that of SQLite's database where it is
    elsewhere.
    """
    found = [settings.data.resolve()]
    if settings.store_url.startswith("sqlite:///"):
        found.append(Path(settings.store_url.removeprefix("sqlite:///")).resolve().parent)
    return list(dict.fromkeys(found))


def _engine_directory(settings: Settings, watch: EngineWatch) -> str:
    """Return where the engine keeps its images; empty where it runs elsewhere, or has not told yet."""
    return watch.health().directory if settings.has_local_engine else ""


def _session_limits(settings: Settings) -> SessionLimits:
    idle, absolute = settings.session_idle_hours, settings.session_hours
    return SessionLimits(idle=timedelta(hours=idle), absolute=timedelta(hours=absolute))


def _admin_token_hash(settings: Settings) -> str | None:
    token = settings.admin_token
    return None if token is None else digest(token.get_secret_value())
