"""What the pages and the loops of one server share."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from app.bootstrap.engine import make_engine, make_tunnel
from app.bootstrap.forges import make_forges, make_hook_apis, send_to_forge
from app.bootstrap.logs import make_log_storage
from app.bootstrap.secrets import make_external_secrets
from app.checkout import Checkouts
from app.commands.app_tokens import AppTokens
from app.commands.credentials import pin_shown
from app.commands.image_retention import ImageRetention
from app.commands.repository_hooks import RepositoryHooks
from app.commands.retention import Retention
from app.config import Settings
from app.disk import DATA_SETTING
from app.engines.base import Engine
from app.forges.base import Forge
from app.installation import Installation
from app.runtime.disk import Disk
from app.runtime.engine_health import EngineWatch
from app.runtime.external_secrets import ExternalSecrets
from app.runtime.log_storage import LogStorage
from app.runtime.turns import Turns
from app.store.inbox import Inbox
from app.system import RandomNames
from app.workers.run.active import Active
from app.workers.run.bells import Bells

# A delivery waits no longer for Git: its push builds then.
INTAKE_GIT_SECONDS, INTAKE_STALL_SECONDS = 60.0, 10


@dataclass(frozen=True)
class Parts:
    """One of each for a server; `server` is its name among those that share a database, `docker_url` where the CLI
    finds the engine."""

    installation: Installation
    server: str
    names: RandomNames
    inbox: Inbox
    engine: Engine
    docker_url: str | None
    watch: EngineWatch
    app_tokens: AppTokens
    repository_hooks: RepositoryHooks
    forges: Mapping[str, Forge]
    checkouts: Checkouts
    log_storage: LogStorage
    retention: Retention
    disk: Disk
    external: ExternalSecrets
    active: Active
    bells: Bells
    turns: Turns

    @property
    def settings(self) -> Settings:
        return self.installation.settings

    @property
    def impatient(self) -> Checkouts:
        """Return the checkouts for what others wait for: their Git commands have less time."""
        limit = min(self.settings.git_time_limit_seconds, INTAKE_GIT_SECONDS)
        return replace(self.checkouts, git_time_limit_seconds=limit, stall_seconds=INTAKE_STALL_SECONDS)

    def engine_is_up(self) -> bool:
        return self.watch.health().is_up


def make_parts(installation: Installation) -> Parts:
    settings, data = installation.settings, installation.settings.data.resolve()
    tunnel = make_tunnel(settings)
    engine = make_engine(
        settings, installation.id, installation.clock, installation.epoch, confines=True, tunnel=tunnel
    )
    watch, bells = EngineWatch(engine, run_disk_mb=settings.run_disk_mb), Bells()
    send = send_to_forge(settings)
    tokens = AppTokens(installation.clock, send)
    hooks = RepositoryHooks(installation.db, installation.clock, installation.box, make_hook_apis(), send)
    log_storage = make_log_storage(installation)
    return Parts(
        installation=installation,
        server=f"{socket.gethostname()}-{secrets.token_hex(4)}",
        names=RandomNames(),
        inbox=Inbox(installation.db),
        engine=engine,
        docker_url=tunnel.address if tunnel else settings.docker_host,
        watch=watch,
        app_tokens=tokens,
        repository_hooks=hooks,
        forges=make_forges(),
        checkouts=Checkouts(
            data / "checkouts",
            allow=settings.transports,
            git_time_limit_seconds=settings.git_time_limit_seconds,
            pin=pin_shown(installation.db),
            tokens=tokens,
        ),
        log_storage=log_storage,
        retention=_retention(installation, engine, watch, log_storage),
        disk=_disk(settings, watch),
        external=make_external_secrets(settings),
        active=Active(bells.ring),
        bells=bells,
        turns=Turns(),
    )


def _retention(own: Installation, engine: Engine, watch: EngineWatch, log_storage: LogStorage) -> Retention:
    images = ImageRetention(own.db, engine, own.ours, watch.health, own.settings.build_cache_gb)
    return Retention(own.db, own.clock, log_storage, own.settings.retention, own.ours, images=images)


def _disk(settings: Settings, watch: EngineWatch) -> Disk:
    """Return the watch over the directories that nothing works without: the data's, that of SQLite's database where it
    is elsewhere, and the engine's, which is unknown where it runs elsewhere or has not told yet.
    """
    named = {settings.data.resolve(): DATA_SETTING}  # each by the setting that people know it by
    if settings.log_store is not None and settings.log_bucket is None:
        named.setdefault(settings.logs, "JOBYARD_LOG_STORE")
    if settings.store_url.startswith("sqlite:///"):
        place = Path(settings.store_url.removeprefix("sqlite:///")).resolve().parent
        named.setdefault(place, "JOBYARD_DATABASE_URL")

    def of_engine() -> str:
        return watch.health().directory if settings.has_local_engine else ""

    return Disk(list(named), named=named, engine_directory=of_engine)
