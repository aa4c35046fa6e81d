"""What each project may use, unless it has limits of its own."""

from __future__ import annotations

from pydantic import Field

from app.config.runs import RunSettings
from app.domain.quotas import NAMES, ProjectLimits, Quotas

_OF_PROJECT = ProjectLimits()


class LimitSettings(RunSettings):
    project_jobs: int = Field(
        default=_OF_PROJECT.jobs, ge=0, le=10**6, description="jobs a project may have; 0: any number"
    )
    project_queued_runs: int = Field(
        default=_OF_PROJECT.queued_runs,
        ge=0,
        le=10**6,
        description="runs a project may have queued; 0: any number",
    )
    project_runs_at_once: int = Field(
        default=_OF_PROJECT.runs_at_once,
        ge=0,
        le=10**6,
        description="runs of a project at work; 0: any number",
    )
    project_builds_at_once: int = Field(
        default=_OF_PROJECT.builds_at_once,
        ge=0,
        le=10**6,
        description="builds of a project at work; 0: any number",
    )
    project_cpus: float = Field(
        default=_OF_PROJECT.cpus,
        ge=0,
        le=10**6,
        allow_inf_nan=False,
        description="CPUs of all running containers of a project; 0: any number",
    )
    project_memory_mb: int = Field(
        default=_OF_PROJECT.memory_mb,
        ge=0,
        le=10**9,
        description="MiB of memory of all running containers of a project; 0: any number",
    )
    project_log_mb: int = Field(
        default=_OF_PROJECT.log_mb,
        ge=0,
        le=10**9,
        description="MiB that all logs of a project may take, of which the oldest go; 0: any number",
    )

    @property
    def quotas(self) -> Quotas:
        """What projects may use that have no limits of their own."""
        return Quotas(ProjectLimits(**{name: getattr(self, f"project_{name}") for name in NAMES}), self.sizes)
