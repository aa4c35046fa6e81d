"""What is kept of what is over, and for how long."""

from __future__ import annotations

from pydantic import Field

from app.config.group import Group
from app.domain.retention import Limits


class CleanUpSettings(Group):
    retention_days: int = Field(
        default=90,
        ge=0,
        le=36_500,
        description="runs, builds, deliveries and decisions are kept; 0: for ever",
    )
    retention_runs: int = Field(
        default=1000, ge=0, le=10**9, description="runs of each job are kept, at most; 0: any number"
    )
    audit_days: int = Field(
        default=365, ge=0, le=36_500, description="entries of the audit log are kept; 0: for ever"
    )
    build_cache_gb: int = Field(
        default=20, ge=0, le=10**6, description="the bound of the engine's build cache; 0: it is left alone"
    )

    @property
    def retention(self) -> Limits:
        return Limits(self.retention_days, self.retention_runs, self.audit_days)
