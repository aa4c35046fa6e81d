"""A job as it is given and shown; names are those of the public interface."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, RootModel

from app.domain import limits
from app.domain.job.checks import CheckTimes
from app.domain.job.records import Deployed
from app.domain.job.spec import BuildConfig, BuildMode, DeployTrigger, JobSpec, RunSpec, ScheduleSettings
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import (
    BelowRoot,
    BranchName,
    BuildCommand,
    Command,
    CommitFlag,
    Cron,
    GitUrl,
    ImageRef,
    Name,
    PathPattern,
    PlanName,
    ProcessName,
    Retries,
    Seconds,
    TagPattern,
    Text,
    Time,
    TimeZone,
    WebhookSecret,
    WebPath,
)
from app.web.schemas.tagged import told_by
from app.web.schemas.variables import AnyEnvForm, Variables

_JOB, _RUN, _BUILD = JobSpec(name=""), RunSpec(), BuildConfig()  # which have the defaults
_SCHEDULE, _TIMES = ScheduleSettings(cron=""), CheckTimes()
Port = Annotated[int, Field(ge=1, le=65535)]
NullIsDefault = BeforeValidator(lambda value: {} if value is None else value)
EXAMPLE = {
    "name": "report",
    "source": {
        "type": "git",
        "git": {"url": "https://github.com/acme/report", "webhook_secret": "a long random text"},
        "build": {"paths": ["docs/"]},
    },
    "run_on_image_change": "cd-promote",
    "env": {"MODE": "daily", "TOKEN": {"value": "…", "secret": True}},
}


class GitForm(Model):
    """The repository and branch that a job is built from."""

    url: GitUrl
    branch: BranchName = "main"
    credential: Name | None = Field(default=None, description="a credential of the project, of kind git")
    webhook_secret: WebhookSecret | None = Field(
        default=None, repr=False, description="write-only; left out or null keeps the stored one"
    )
    submodules: bool = Field(default=False, description="fetch its submodules, and theirs")
    lfs: bool = Field(default=False, description="fetch its Git LFS files, by https")
    tags: TagPattern | None = Field(
        default=None, description="tags that build as well, in .gitignore syntax, such as v*; null is none"
    )
    pull_requests: bool = Field(
        default=False, description="build pull requests for the branch, neither deployed nor run"
    )


class BuildForm(Model):
    """How an image is made from a commit, and which pushes are worth one."""

    mode: BuildMode = Field(
        default=_BUILD.mode,
        description="auto looks at the repository, where a Dockerfile wins; any other says what it is",
    )
    root_directory: BelowRoot = _BUILD.root_directory
    dockerfile: BelowRoot = _BUILD.dockerfile
    target: Text | None = None
    install_command: BuildCommand | None = None
    build_command: BuildCommand | None = None
    run_command: BuildCommand | None = None
    time_limit_seconds: Seconds = _BUILD.time_limit_seconds
    paths: list[PathPattern] = Field(default=[], max_length=500, description="in .gitignore syntax")
    paths_mode: Literal["ignore", "allow"] = _BUILD.paths_mode
    commit_flags: list[CommitFlag] = Field(default=list(_BUILD.commit_flags), max_length=limits.COMMIT_FLAGS)


class GitSourceForm(Model):
    """A branch of a repository, built by the job's own settings."""

    type: Literal["git"]
    git: GitForm
    build: Annotated[BuildForm, NullIsDefault] = Field(default_factory=BuildForm)


class BuildServiceSourceForm(Model):
    """What a build service of the project makes; `branch` is the service's."""

    type: Literal["build_service"]
    build_service: Name
    branch: BranchName | None = None


class ImageSourceForm(Model):
    """An image that is built elsewhere; a tag is resolved when a run starts."""

    type: Literal["image"]
    image: ImageRef
    credential: Name | None = Field(default=None, description="a credential of kind registry")


class NoSourceForm(Model):
    """What is deployed or promoted to the job."""

    type: Literal["none"]


SourceForm = Annotated[
    GitSourceForm | BuildServiceSourceForm | ImageSourceForm | NoSourceForm,
    Field(discriminator="type"),
    told_by("type", "a source of type", GitSourceForm, BuildServiceSourceForm, ImageSourceForm, NoSourceForm),
]


def _without_default(schema: dict[str, Any]) -> None:
    """Generators of clients make no default of an object."""
    del schema["default"]


class ScheduleForm(Model):
    cron: Cron
    time_zone: TimeZone = _SCHEDULE.time_zone
    active: bool = _SCHEDULE.active
    concurrency_policy: Literal["allow", "forbid", "replace"] = _SCHEDULE.concurrency_policy.value
    starting_deadline_seconds: Seconds = _SCHEDULE.starting_deadline_seconds


class CheckForm(Model):
    """What all health checks have."""

    type: Literal["liveness", "startup"]
    initial_delay_seconds: int = Field(default=_TIMES.initial_delay_seconds, ge=1, le=180)
    period_seconds: int = Field(default=_TIMES.period_seconds, ge=10, le=600)
    timeout_seconds: int = Field(default=_TIMES.timeout_seconds, ge=1, le=60)
    failure_threshold: int = Field(default=_TIMES.failure_threshold, ge=1, le=255)
    success_threshold: int = Field(default=_TIMES.success_threshold, ge=1, le=255)


class HttpCheckForm(CheckForm):
    """Asks for `path` at `port`; 200 to 399 is well."""

    protocol: Literal["http"]
    path: WebPath
    port: Port


class TcpCheckForm(CheckForm):
    """Connects to `port`."""

    protocol: Literal["tcp"]
    port: Port


class CommandCheckForm(CheckForm):
    """Runs a command in the container; 0 is well."""

    protocol: Literal["cmd"]
    cmd: Command


HealthCheckForm = Annotated[
    HttpCheckForm | TcpCheckForm | CommandCheckForm,
    Field(discriminator="protocol"),
    told_by("protocol", "a check by", HttpCheckForm, TcpCheckForm, CommandCheckForm),
]


class JobForm(Model):
    """A job: where its image comes from, when it runs, and with what."""

    model_config = with_example(EXAMPLE)

    name: Name
    display_name: str = Field(default=_JOB.display_name, max_length=limits.DISPLAY_NAME)
    source: SourceForm = Field(
        default=NoSourceForm(type="none"),
        description="of type none if left out",
        json_schema_extra=_without_default,
    )
    ci_enabled: bool = _JOB.ci_enabled
    cd_enabled: bool = _JOB.cd_enabled
    builds_in_flight: Literal["all", "latest"] = Field(
        default=_JOB.builds_in_flight.value,
        description="for a source of type git; latest drops queued builds of older pushes",
    )
    run_on_image_change: Literal["never", "cd-promote", "always"] = _JOB.run_on_image_change.value
    kind: Literal["manual", "cron"] = _JOB.kind.value
    schedule: ScheduleForm | None = None
    deploy_trigger: DeployTrigger | None = None
    command: Command | None = None
    entrypoint: Command | None = None
    shell: bool = Field(default=_RUN.shell, description="hands the command, or the process, to /bin/sh -c")
    process: ProcessName | None = None
    env: Variables = Field(default={})
    plan: PlanName = _RUN.plan
    instances: int = Field(default=_RUN.instances, ge=1, le=100)
    retry_limit: Retries = _RUN.retry_limit
    retry_backoff: Literal["none", "fixed", "exponential"] = _RUN.retry_backoff.value
    time_limit_seconds: Seconds | None = _RUN.time_limit_seconds
    grace_period_seconds: int = Field(default=_RUN.grace_period_seconds, ge=1, le=600)
    health_checks: list[HealthCheckForm] = Field(default=[], max_length=2)
    non_root: bool = Field(default=_RUN.non_root, description="runs as no user 0, whatever the image says")
    read_only: bool = Field(
        default=_RUN.read_only, description="writes nowhere but to /tmp and the image's volumes, in memory"
    )
    network: Literal["default", "none"] = Field(
        default=_RUN.network.value, description="none: its containers reach nothing but themselves"
    )
    paused: bool = _JOB.paused


class JobPatch(RootModel[dict[str, Any]]):
    """Any fields of a job. Objects are merged field by field; in `env`, null deletes a variable."""

    model_config = with_example({"retry_limit": 2, "env": {"MODE": "weekly", "OLD": None}})


class ResumeForm(Model):
    """What to change while resuming; left out stays as it was before the pause. Changing a switch takes an admin."""

    model_config = with_example({"cd_enabled": False})

    ci_enabled: bool | None = None
    cd_enabled: bool | None = None
    schedule_active: bool | None = None


class GitAnswer(GitForm):
    webhook_secret: None = None
    has_webhook_secret: bool


class GitSourceAnswer(GitSourceForm):
    git: GitAnswer


SourceAnswer = Annotated[
    GitSourceAnswer | BuildServiceSourceForm | ImageSourceForm | NoSourceForm, Field(discriminator="type")
]


class HttpCheckAnswer(HttpCheckForm):
    cmd: None


class TcpCheckAnswer(TcpCheckForm):
    path: None
    cmd: None


class CommandCheckAnswer(CommandCheckForm):
    path: None
    port: None


HealthCheckAnswer = Annotated[
    HttpCheckAnswer | TcpCheckAnswer | CommandCheckAnswer, Field(discriminator="protocol")
]


class DeployedAnswer(Model):
    image: str
    digest: str | None = Field(description="null only for a tag that was deployed before digests were kept")
    reference: str | None = Field(
        description="what the image was called, such as by a tag; null for a build's"
    )
    build: int | None
    sha: str | None
    cause: str
    at: Time


def deployed_answer(deployed: Deployed) -> DeployedAnswer:
    return DeployedAnswer(
        image=deployed.image,
        digest=deployed.digest or None,
        reference=deployed.reference,
        build=deployed.build_id,
        sha=deployed.sha,
        cause=deployed.cause,
        at=deployed.at,
    )


class FromFileAnswer(Model):
    """What the repository's `jobyard.yaml` sets of a job, which can't be changed elsewhere."""

    build_service: str | None
    sha: str
    fields: list[str] = Field(description="fields of the job, and env.NAME for single variables")
    removed: bool = Field(description="the file has the job no more, and holds none of its fields")


class LastRun(Model):
    id: int
    name: str
    status: str
    created_at: Time
    started_at: Time | None
    finished_at: Time | None


class LastBuild(Model):
    id: int
    status: str
    created_at: Time
    finished_at: Time | None


class JobAnswer(JobForm):
    """A job as stored, with what happened to it. Secret values are null."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    id: int
    project: str
    source: SourceAnswer  # read as one form, shown as it is stored
    env: dict[str, str | AnyEnvForm]  # type: ignore[assignment]
    health_checks: list[HealthCheckAnswer]  # type: ignore[assignment]
    app: str | None = Field(description="the app that it deploys with")
    from_file: FromFileAnswer | None = Field(
        description="null for a job that no file of its repository declares"
    )
    deployed: DeployedAnswer | None
    next_fire_at: Time | None
    last_run: LastRun | None
    last_build: LastBuild | None = Field(description="of its branch, that ended by itself")
    failing: bool = Field(description="the latest run failed, or the latest build of its branch")
    created_at: Time
    webhook_url: str = Field(description="where the repository's webhook has to point")
    warnings: list[str] = Field(description="what will not work as it is")


READ_ONLY = frozenset(JobAnswer.model_fields) - frozenset(JobForm.model_fields)
