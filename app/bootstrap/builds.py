"""What builds images that the engine can run, and what pushes them to the registry."""

from __future__ import annotations

from app.config import Settings
from app.domain.errors import UserError
from app.domain.plans import MIB
from app.installation import Installation
from app.workers.build.publisher import Publisher
from builders.backends.base import ImageBackend
from builders.backends.push import RegistryPush
from builders.backends.step_limits import StepLimits


def make_backend(settings: Settings, docker_url: str | None) -> ImageBackend:
    """Return what builds images that `make_engine`'s engine can run. `docker_url` is where its API is found here."""
    if settings.engine == "process":
        from builders.backends.local import LocalBackend

        return LocalBackend(settings.data.resolve() / "process" / "images")
    from builders.backends.buildkit import BuildKitCli

    limits = StepLimits(
        settings.build_cpus, settings.build_memory_mb * MIB, setting="JOBYARD_BUILD_MEMORY_MB"
    )
    own_limits = limits if settings.has_local_engine else None
    return BuildKitCli(docker_url, certificates=settings.docker_cert_path, limits=own_limits)


def make_publisher(installation: Installation, docker_url: str | None) -> Publisher | None:
    """Return what pushes built images, if there is a registry. Raises UserError for an engine that pushes none."""
    settings = installation.settings
    if settings.registry is None:
        return None
    if settings.engine == "process":
        raise UserError(
            f"JOBYARD_REGISTRY: what JOBYARD_ENGINE={settings.engine} builds stays on this machine; unset one of them."
        )
    push = RegistryPush(docker_url, settings.docker_cert_path)
    return Publisher(installation.db, installation.box, settings.registry, push)
