"""A job, the source it is built from and what it has deployed, as they are stored.

A `Job` is the definition only. What happened to it (builds, runs, decisions) lives in tables of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.documents import Json, Stored
from app.domain.job.spec import (
    BuildConfig,
    BuildsInFlight,
    JobKind,
    JobSpec,
    RunOnImageChange,
    ScheduleSettings,
)
from app.domain.job.variables import EnvValue, SharedValue
from app.domain.repository_file import FromFile


@dataclass(frozen=True)
class SourceSettings:
    """What is stored of a repository and branch that builds are made of. The webhook secret is sealed.

    `id` is the row's, also of one that is to be made with it; None where any will do.
    """

    url: str
    repo_key: str
    branch: str
    build: BuildConfig = field(default_factory=BuildConfig)
    ci_enabled: bool = True
    builds_in_flight: BuildsInFlight = BuildsInFlight.ALL
    credential_id: int | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    config_file: bool = False  # a build service whose jobs the repository's jobyard.yaml declares
    id: int | None = None


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
    config_file: bool = False


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

    def to_json(self) -> Json:
        return {**vars(self), "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, data: Stored) -> Deployed:
        return cls(**{**data, "at": datetime.fromisoformat(data["at"])})


@dataclass(frozen=True)
class Job:
    """A job as everything but the store sees it: its specification, and what the store knows of it."""

    id: int
    project_id: int
    project: str
    name: str
    spec: JobSpec
    source: Source | None = None
    deployed: Deployed | None = None
    shared_env: Mapping[str, SharedValue] = field(default_factory=dict, repr=False)  # of its secret groups
    created_at: datetime | None = None
    next_fire_at: datetime | None = None  # None while nothing starts by schedule
    deleted_at: datetime | None = None  # its runs, logs and decisions stay
    from_file: FromFile | None = None  # what its repository says of it itself

    @property
    def title(self) -> str:
        """What people call it: its display name, or its name where it has none."""
        return self.spec.display_name or self.name

    @property
    def ci_enabled(self) -> bool:
        return self.spec.ci_enabled

    @property
    def cd_enabled(self) -> bool:
        return self.spec.cd_enabled

    @property
    def run_on_image_change(self) -> RunOnImageChange:
        return self.spec.run_on_image_change

    @property
    def kind(self) -> JobKind:
        return self.spec.kind

    @property
    def schedule(self) -> ScheduleSettings | None:
        return self.spec.schedule

    @property
    def paused(self) -> bool:
        return self.spec.paused

    @property
    def has_image(self) -> bool:
        """Return whether there is something to run: an image is deployed, or it runs one that is built elsewhere."""
        return self.deployed is not None or self.runs_a_reference

    @property
    def builds_pushes(self) -> bool:
        """Return whether a push to its branch is built at all; a build service is not held back with its jobs."""
        source = self.source
        return source is not None and source.ci_enabled and not (self.paused and source.name is None)

    @property
    def runs_a_reference(self) -> bool:
        """Return whether its source is an image reference, which each run resolves where nothing is deployed."""
        return self.spec.image is not None

    @property
    def schedule_inactive(self) -> bool:
        return self.schedule is not None and not self.schedule.active

    @property
    def env(self) -> Mapping[str, EnvValue]:
        """Its own variables, without those of its secret groups."""
        return self.spec.run.env
