"""What a job is: where its image comes from, when it runs, and with what.

A `Job` is the definition only. What happened to it (builds, runs, decisions) lives in tables of its own.
Its stored form is the API's JSON with every secret value sealed; `job_from_definition` reads that form.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?")
NAME_RULE = "1 to 52 lower-case letters, digits and hyphens, with no hyphen at either end"
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DEFAULT_COMMIT_FLAGS = ("[skip ci]", "[ci skip]", "[no ci]", "[skip jobyard]")


class JobKind(enum.StrEnum):
    MANUAL = "manual"
    CRON = "cron"


class RunOnImageChange(enum.StrEnum):
    """When a change of the image starts a run; the truth table is `rules.on_image_change`."""

    NEVER = "never"
    CD_PROMOTE = "cd-promote"
    ALWAYS = "always"


class ConcurrencyPolicy(enum.StrEnum):
    """What a scheduled start does while another run of the job is alive."""

    ALLOW = "allow"
    FORBID = "forbid"
    REPLACE = "replace"


class BuildsInFlight(enum.StrEnum):
    ALL = "all"
    LATEST = "latest"  # a newer push cancels queued builds of the same branch


class EnvScope(enum.StrEnum):
    RUN = "run"
    BUILD = "build"
    BOTH = "both"


@dataclass(frozen=True)
class EnvValue:
    """One variable. A secret's `value` is sealed wherever it is stored, and opened only on the way to a container."""

    value: str = field(repr=False)
    secret: bool = False
    scope: EnvScope = EnvScope.RUN

    @property
    def in_build(self) -> bool:
        return self.scope is not EnvScope.RUN

    @property
    def in_run(self) -> bool:
        return self.scope is not EnvScope.BUILD


@dataclass(frozen=True)
class BuildConfig:
    """How an image is made from a commit, and which pushes are worth one."""

    mode: Literal["auto", "dockerfile"] = "auto"
    root_directory: str = "/"
    dockerfile: str = "/Dockerfile"
    target: str | None = None
    install_command: str | None = None
    build_command: str | None = None
    run_command: str | None = None
    time_limit_seconds: int = 3600
    paths: tuple[str, ...] = ()
    paths_mode: Literal["ignore", "allow"] = "ignore"
    commit_flags: tuple[str, ...] = DEFAULT_COMMIT_FLAGS
    submodules: bool = False  # fetched with the commit, which is where both are said to users
    lfs: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BuildConfig:
        tuples = {name: tuple(data[name]) for name in ("paths", "commit_flags") if name in data}
        return cls(**{**data, **tuples})


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


@dataclass(frozen=True)
class ScheduleSettings:
    cron: str
    time_zone: str = "UTC"
    active: bool = True
    concurrency_policy: ConcurrencyPolicy = ConcurrencyPolicy.ALLOW
    starting_deadline_seconds: int = 100


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


def env_from_definition(env: Mapping[str, Any]) -> dict[str, EnvValue]:
    """Variables of the API's form: a bare string, or `{"value", "secret"?, "scope"?}`."""
    return {
        name: EnvValue(given)
        if isinstance(given, str)
        else EnvValue(given["value"], bool(given.get("secret")), EnvScope(given.get("scope") or EnvScope.RUN))
        for name, given in env.items()
    }


def schedule_from_definition(schedule: Mapping[str, Any] | None) -> ScheduleSettings | None:
    if schedule is None:
        return None
    policy = ConcurrencyPolicy(schedule.get("concurrency_policy", ConcurrencyPolicy.ALLOW))
    return ScheduleSettings(**{**schedule, "concurrency_policy": policy})
