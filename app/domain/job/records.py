"""A job, the source it is built from and what it has deployed, as they are stored.

A `Job` is the definition only. What happened to it (builds, runs, decisions) lives in tables of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.domain.job.spec import BuildConfig, BuildsInFlight, JobKind, RunOnImageChange, ScheduleSettings
from app.domain.job.variables import EnvValue, env_from_definition


@dataclass(frozen=True)
class Source:
    """A repository and branch with build settings: what builds are made of.

    A Git job owns one without a name; a build service is one with a name that several jobs share.
    """

    id: int
    project_id: int
    name: str | None
    url: str
    repo_key: str
    branch: str
    build: BuildConfig
    ci_enabled: bool = True
    builds_in_flight: BuildsInFlight = BuildsInFlight.ALL
    credential_id: int | None = None
    webhook_secret: str | None = field(default=None, repr=False)  # sealed


@dataclass(frozen=True, slots=True)
class Pinned:
    """What an image reference means for good: `image` is what an engine takes, `digest` names its content."""

    image: str
    digest: str


@dataclass(frozen=True)
class Deployed:
    """The image a job now has, and why. `cause` is the sentence of the decision that moved it."""

    image: str
    digest: str
    build_id: int | None
    sha: str | None
    cause: str
    at: datetime
    position: int | None = None  # of the push it was built for, on its branch: newer is greater
    reference: str | None = None  # what it was called by whoever deployed it, such as a tag

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Deployed:
        return cls(**{**data, "at": datetime.fromisoformat(data["at"])})


@dataclass(frozen=True)
class Job:
    """A job's definition, as everything but the store and the API sees it."""

    id: int
    project_id: int
    project: str
    name: str
    definition: Mapping[str, Any] = field(repr=False)
    shared_env: Mapping[str, Any] = field(
        repr=False
    )  # of its secret groups, each entry with its group's name
    source: Source | None
    deployed: Deployed | None
    ci_enabled: bool = True
    cd_enabled: bool = True
    run_on_image_change: RunOnImageChange = RunOnImageChange.NEVER
    kind: JobKind = JobKind.MANUAL
    schedule: ScheduleSettings | None = None
    paused: bool = False
    created_at: datetime | None = None
    next_fire_at: datetime | None = None  # None while nothing starts by schedule
    deleted_at: datetime | None = None  # its runs, logs and decisions stay

    @property
    def builds_pushes(self) -> bool:
        """Whether a push to its branch is built at all; a build service is not held back with its jobs."""
        source = self.source
        return source is not None and source.ci_enabled and not (self.paused and source.name is None)

    @property
    def runs_a_reference(self) -> bool:
        """Whether its source is an image reference, which each run resolves where nothing is deployed."""
        return bool(self.definition["source"]["type"] == "image")

    @property
    def schedule_inactive(self) -> bool:
        return self.schedule is not None and not self.schedule.active

    @property
    def env(self) -> dict[str, EnvValue]:
        return env_from_definition(self.definition.get("env", {}))
