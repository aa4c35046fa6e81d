"""Built images go to the registry as `REGISTRY/PROJECT/SOURCE:SHA`, and are held by digest from there on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.commands.remote_access import registry_access
from app.domain.builds import Build
from app.engines.base import RegistryLogin
from app.runtime.ports import Vault
from app.store import builds
from app.store.database import Database
from builders.backends.base import BuiltImage, ImagePusher, Login, StopSignal


@dataclass(frozen=True)
class Made:
    """An image as jobs get it: `image` is what an engine takes, `digest` names its content."""

    image: str
    digest: str


@dataclass(frozen=True)
class Publisher:
    """`registry` is JOBYARD_REGISTRY, such as `registry.example.com/team`."""

    db: Database
    vault: Vault
    registry: str
    pusher: ImagePusher

    def login(self, build: Build) -> RegistryLogin | None:
        """The project's credential for this registry, if it has one."""
        with self.db.read() as tx:
            return registry_access(tx, self.vault, build.project_id, f"{self.registry}/{build.project}")

    def name(self, build: Build) -> str:
        """The repository in the registry: after the build service or, for a source of its own, the job."""
        with self.db.read() as tx:
            made_for = builds.made_for(tx, [build.id])[build.id]
        names = [service or job for service, job in made_for if service or job]
        return f"{self.registry}/{build.project}/{names[0] if names else f'build-{build.id}'}"

    def push(
        self,
        name: str,
        sha: str,
        image: BuiltImage,
        login: RegistryLogin | None,
        *,
        on_output: Callable[[bytes], None],
        should_stop: StopSignal,
        time_limit_seconds: float,
    ) -> Made:
        digest = self.pusher.push(
            image,
            f"{name}:{sha}",
            None if login is None else Login(login.username, login.password),
            on_output=on_output,
            should_stop=should_stop,
            time_limit_seconds=time_limit_seconds,
        )
        return Made(f"{name}@{digest}", digest)
