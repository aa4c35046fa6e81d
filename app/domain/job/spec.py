"""What a job is: where its image comes from, when it runs, and with what. Every default is written here, once.

Its form in JSON is `codec`'s; what may not be set together is said by `rules`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal

from app.domain.job.checks import Check
from app.domain.job.commands import Command
from app.domain.job.variables import EnvValue
from app.domain.plans import DEFAULT_PLAN
from app.domain.retry import Backoff

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?")
NAME_RULE = "1 to 52 lower-case letters, digits and hyphens, with no hyphen at either end"
DEFAULT_COMMIT_FLAGS = ("[skip ci]", "[ci skip]", "[no ci]", "[skip jobyard]")
BuildMode = Literal[
    "auto", "dockerfile", "go", "java", "php", "python", "ruby", "rust", "node", "cmake", "shell", "procfile"
]  # as `builders.plan.Mode`, of which this knows nothing
DeployTrigger = Literal["pre-deploy", "post-deploy", "failed-deploy"]


class JobKind(enum.StrEnum):
    MANUAL = "manual"
    CRON = "cron"


class RunOnImageChange(enum.StrEnum):
    """It says when a change of the image starts a run; the truth table is `rules.on_image_change`."""

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


@dataclass(frozen=True, slots=True)
class BuildConfig:
    """How an image is made from a commit, and which pushes are worth one."""

    mode: BuildMode = "auto"
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
    tags: str | None = None  # the pattern of tags that build as well, said where the branch is
    pull_requests: bool = False  # whether those for the branch build, for their status alone


@dataclass(frozen=True, slots=True)
class GitSource:
    """A branch of a repository, built by the job's own settings; `credential` names one of the project's."""

    type: ClassVar = "git"

    url: str
    branch: str = "main"
    credential: str | None = None
    build: BuildConfig = field(default_factory=BuildConfig)


@dataclass(frozen=True, slots=True)
class BuildServiceSource:
    """What a build service of the project makes."""

    type: ClassVar = "build_service"

    build_service: str


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An image that is built elsewhere; a tag is resolved when a run starts."""

    type: ClassVar = "image"

    image: str
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class NoSource:
    """What is deployed or promoted to the job, and nothing before that."""

    type: ClassVar = "none"


JobSource = GitSource | BuildServiceSource | ImageSource | NoSource


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    cron: str
    time_zone: str = "UTC"
    active: bool = True
    concurrency_policy: ConcurrencyPolicy = ConcurrencyPolicy.ALLOW
    starting_deadline_seconds: int = 100


HARDENING_WORDS = {"non_root": "not as root", "read_only": "read-only files", "network": "no network"}


class Network(enum.StrEnum):
    """What the containers of a run reach."""

    DEFAULT = "default"  # what the server lets runs reach
    NONE = "none"  # nothing but themselves


@dataclass(frozen=True, slots=True)
class Hardening:
    """What the containers of a run may do less than others. A project's counts for all its jobs."""

    non_root: bool = False  # runs as no user 0, whatever the image says
    read_only: bool = False  # writes nowhere but to /tmp and the image's volumes, in memory
    network: Network = Network.DEFAULT

    def with_at_least(self, other: Hardening) -> Hardening:
        """Both together."""
        return Hardening(
            self.non_root or other.non_root,
            self.read_only or other.read_only,
            Network.NONE if Network.NONE in (self.network, other.network) else Network.DEFAULT,
        )

    @property
    def asked(self) -> Mapping[str, str]:
        """What it asks for: in words, by the names of its fields."""
        given = {
            "non_root": self.non_root,
            "read_only": self.read_only,
            "network": self.network is Network.NONE,
        }
        return {name: HARDENING_WORDS[name] for name, is_asked in given.items() if is_asked}


PER_RUN = {"overridable": True}  # of a field that a single run may have another value of


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What the containers of a run are started with, how many of them, how often and for how long.

    A job has one for the runs that it starts; each run has its own, which is the job's with the variables of its secret
    groups and with what was changed for this run. Times are in seconds. Secrets in `env` are sealed.
    """

    command: Command | None = field(default=None, metadata=PER_RUN)
    entrypoint: Command | None = field(default=None, metadata=PER_RUN)
    shell: bool = field(default=False, metadata=PER_RUN)
    process: str | None = field(default=None, metadata=PER_RUN)
    env: Mapping[str, EnvValue] = field(default_factory=dict, repr=False)
    plan: str = field(default=DEFAULT_PLAN, metadata=PER_RUN)
    instances: int = 1
    retry_limit: int = field(default=0, metadata=PER_RUN)
    retry_backoff: Backoff = Backoff.EXPONENTIAL
    time_limit_seconds: int | None = field(default=None, metadata=PER_RUN)
    grace_period_seconds: int = 30
    health_checks: tuple[Check, ...] = ()
    non_root: bool = False
    read_only: bool = False
    network: Network = Network.DEFAULT

    @property
    def hardening(self) -> Hardening:
        return Hardening(self.non_root, self.read_only, self.network)

    @property
    def starts_something(self) -> bool:
        """Return whether it says what to run; otherwise the image does."""
        return bool(self.command or self.process or self.entrypoint)


OVERRIDABLE = tuple(each.name for each in fields(RunSpec) if each.metadata.get("overridable"))


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as it is defined."""

    name: str
    display_name: str = ""
    source: JobSource = field(default_factory=NoSource)
    ci_enabled: bool = True
    cd_enabled: bool = True
    builds_in_flight: BuildsInFlight = BuildsInFlight.ALL
    run_on_image_change: RunOnImageChange = RunOnImageChange.NEVER
    kind: JobKind = JobKind.MANUAL
    schedule: ScheduleSettings | None = None
    deploy_trigger: DeployTrigger | None = None
    run: RunSpec = field(default_factory=RunSpec)
    paused: bool = False

    @property
    def image(self) -> str | None:
        """The reference of the image that it runs as it is; None where its image is built or deployed."""
        return self.source.image if isinstance(self.source, ImageSource) else None

    @property
    def may_overlap(self) -> bool:
        """Whether two runs of the job may be alive at once."""
        return self.schedule is None or self.schedule.concurrency_policy is ConcurrencyPolicy.ALLOW
