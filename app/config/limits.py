"""What each project may use, unless it has limits of its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.config.runs import RunSettings
from app.domain.quotas import NAMES, ProjectLimits, Quotas

_OF_PROJECT = ProjectLimits()
_Count = Annotated[int, Field(ge=0, le=10**6)]
_Cpus = Annotated[float, Field(ge=0, le=10**6, allow_inf_nan=False)]
_Megabytes = Annotated[int, Field(ge=0, le=10**9)]


class LimitSettings(RunSettings):
    project_jobs: _Count = Field(
        default=_OF_PROJECT.jobs, description="jobs a project may have; 0: any number"
    )
    project_queued_runs: _Count = Field(
        default=_OF_PROJECT.queued_runs, description="runs a project may have queued; 0: any number"
    )
    project_runs_at_once: _Count = Field(
        default=_OF_PROJECT.runs_at_once, description="runs of a project at work; 0: any number"
    )
    project_builds_at_once: _Count = Field(
        default=_OF_PROJECT.builds_at_once, description="builds of a project at work; 0: any number"
    )
    project_cpus: _Cpus = Field(
        default=_OF_PROJECT.cpus,
        description="CPUs of all running containers of a project; 0: any number",
    )
    project_memory_mb: _Megabytes = Field(
        default=_OF_PROJECT.memory_mb,
        description="MiB of memory of all running containers of a project; 0: any number",
    )
    project_log_mb: _Megabytes = Field(
        default=_OF_PROJECT.log_mb,
        description="MiB that all logs of a project may take, of which the oldest go; 0: any number",
    )

    @property
    def quotas(self) -> Quotas:
        """What projects may use that have no limits of their own."""
        return Quotas(ProjectLimits(**{name: getattr(self, f"project_{name}") for name in NAMES}), self.sizes)
