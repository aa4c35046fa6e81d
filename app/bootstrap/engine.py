"""The engine that the settings name, for a server; and what a command asks it, once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.config import Settings
from app.domain.errors import UserError
from app.domain.plans import MIB
from app.engines.base import Confinement, Engine, Owned
from app.runtime.engine_health import EngineHealth, ask
from app.runtime.ports import Clock
from app.system import SystemClock

if TYPE_CHECKING:
    from app.engines.docker.tunnel import Tunnel

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
ENGINE_SECONDS, COMMAND_SECONDS = 60.0, 10.0  # for one answer of the engine; for one that a command waits for


def make_engine(
    settings: Settings,
    installation: str,
    clock: Clock,
    epoch: str = "",
    answers_within: float = ENGINE_SECONDS,
    *,
    confines: bool = False,
    tunnel: Tunnel | None = None,
) -> Engine:
    """Return the engine that the settings name. `answers_within` is how long one answer may take, in seconds;
    `confines` has it enforce what containers may reach; `tunnel` is one that others use as well.
    """
    match settings.engine:
        case "docker":
            from app.engines.docker import DockerEngine  # with the SDK it is 12 MB

            return DockerEngine(
                url=settings.docker_host,
                certificates=settings.docker_cert_path,
                tunnel=tunnel or make_tunnel(settings),
                installation=installation,
                clock=clock.now,
                timeout_seconds=answers_within,
                isolate_network=settings.network == "isolated",
                egress=settings.may_reach,
                confines=confines,
                boot_id=_boot_id(settings),
                epoch=epoch,
            )
        case "swarm":
            from app.engines.swarm import SwarmEngine

            return SwarmEngine(
                url=settings.docker_host,
                certificates=settings.docker_cert_path,
                tunnel=tunnel or make_tunnel(settings),
                installation=installation,
                clock=clock.now,
                timeout_seconds=answers_within,
                egress=settings.may_reach,
                epoch=epoch,
            )
        case "process":
            from app.engines.process import ProcessEngine

            root = settings.data.resolve() / "process" / "containers"
            return ProcessEngine(root=root, clock=clock.now, epoch=epoch)
        case "kubernetes":
            return _kubernetes(settings, installation, clock, epoch)


def _kubernetes(settings: Settings, installation: str, clock: Clock, epoch: str) -> Engine:
    try:
        from app.engines.kubernetes import KubernetesEngine  # an extra
    except ImportError:
        raise UserError(
            "JOBYARD_ENGINE=kubernetes needs the extra kubernetes: pip install 'jobyard[kubernetes]'."
        ) from None
    return KubernetesEngine(
        namespace=settings.kubernetes_namespace,
        installation=installation,
        clock=clock.now,
        egress=settings.may_reach,
        epoch=epoch,
    )


def make_tunnel(settings: Settings) -> Tunnel | None:
    """Return what brings the engine's socket here, where it is on a machine that is reached by ssh."""
    if settings.engine not in ("docker", "swarm") or not (settings.docker_host or "").startswith("ssh:"):
        return None
    from app.engines.docker.tunnel import Tunnel

    return Tunnel(settings.docker_host or "", settings.docker_ssh_key, settings.docker_ssh_host_key)


def _boot_id(settings: Settings) -> str:
    """Return the id of this machine's boot; empty where the engine runs elsewhere or the system has none."""
    return BOOT_ID.read_text().strip() if settings.has_local_engine and BOOT_ID.is_file() else ""


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


def missing_permissions(settings: Settings) -> list[str]:
    """Return what the server may not do in the cluster, though it has to. Raises EngineUnavailable."""
    from app.engines.kubernetes import permissions
    from app.engines.kubernetes.api import Api

    api = Api(settings.kubernetes_namespace)
    try:
        return [str(each) for each in permissions.missing(api)]
    finally:
        api.close()


def ask_disk_refusal(settings: Settings) -> str:
    """Return why the engine can't bound the disk of runs as the settings say, if so. Raises EngineUnavailable."""
    engine = make_engine(settings, "asking", SystemClock())
    try:
        return engine.disk_refusal(settings.run_disk_mb * MIB)
    finally:
        engine.close()
