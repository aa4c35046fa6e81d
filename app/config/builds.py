"""How many builds there are at once, and what each may take."""

from __future__ import annotations

from pydantic import Field

from app.config.group import Group


class BuildSettings(Group):
    workers_builds: int = Field(default=2, ge=1, le=64, description="builds at once")
    build_cpus: float = Field(
        default=0,
        ge=0,
        le=10**4,
        allow_inf_nan=False,
        description="CPUs of each step of a build, where the engine can; 0: all of them",
    )
    build_memory_mb: int = Field(
        default=4096,
        ge=0,
        le=10**8,
        description="MiB of memory of each step of a build, where the engine can; 0: any amount",
    )
