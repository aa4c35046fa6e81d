"""What runs containers, and where it is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.config.group import Group


class EngineSettings(Group):
    engine: Literal["docker", "process"] = Field(
        default="docker",
        description="docker; process runs without isolation, for trying out and trusted code",
    )
    docker_host: str | None = Field(
        default=None, description="the engine's socket, e.g. unix:///var/run/docker.sock"
    )

    @property
    def has_local_engine(self) -> bool:
        """Whether the engine is on this machine, as far as its address says."""
        return self.docker_host is None or self.docker_host.startswith("unix:")
