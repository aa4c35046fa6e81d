"""How repositories are fetched, and how often branches are compared with their remotes."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from app.config.group import Group


def _known_transports(value: str) -> str:
    unknown = set(value.split(",")) - {"https", "ssh", "http", "file"}
    if unknown:
        raise ValueError(f"knows https, ssh, http and file, not {', '.join(sorted(unknown))}")
    return value


class GitSettings(Group):
    git_allow: Annotated[str, AfterValidator(_known_transports)] = Field(
        default="https,ssh", description="allowed Git transports; file and http only when named here"
    )
    git_time_limit_seconds: int = Field(default=600, ge=1, description="for one fetch")
    reconcile_minutes: int = Field(
        default=10,
        ge=0,
        le=1440,
        description="between comparisons of branches with their remotes, for pushes that no hook told of; 0: never",
    )

    @property
    def transports(self) -> frozenset[str]:
        return frozenset(self.git_allow.split(","))
