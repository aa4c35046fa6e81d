"""A job as it is given and shown; names are those of the public interface."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, RootModel, model_validator

from app.domain import limits
from app.domain.job.records import Deployed
from app.domain.job.spec import DEFAULT_COMMIT_FLAGS
from app.domain.plans import DEFAULT_PLAN
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import (
    BelowRoot,
    BranchName,
    BuildCommand,
    Command,
    CommitFlag,
    Cron,
    EnvName,
    EnvSize,
    EnvText,
    GitUrl,
    ImageRef,
    Name,
    PathPattern,
    PlainEnv,
    PlanName,
    ProcessName,
    Retries,
    Seconds,
    Text,
    Time,
    TimeZone,
    WebhookSecret,
    WebPath,
)

Trigger = Literal["pre-deploy", "post-deploy", "failed-deploy"]
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


class BuildForm(Model):
    """How an image is made from a commit, and which pushes are worth one."""

    mode: Literal["auto", "dockerfile"] = "auto"
    root_directory: BelowRoot = "/"
    dockerfile: BelowRoot = "/Dockerfile"
    target: Text | None = None
    install_command: BuildCommand | None = None
    build_command: BuildCommand | None = None
    run_command: BuildCommand | None = None
    time_limit_seconds: Seconds = 3600
    paths: list[PathPattern] = Field(default=[], max_length=500, description="in .gitignore syntax")
    paths_mode: Literal["ignore", "allow"] = "ignore"
    commit_flags: list[CommitFlag] = Field(default=list(DEFAULT_COMMIT_FLAGS), max_length=limits.COMMIT_FLAGS)


class SourceForm(Model):
    """Where the image comes from; each type takes the fields named after it."""

    type: Literal["git", "build_service", "image", "none"]
    git: GitForm | None = Field(default=None, description="for git")
    build: BuildForm | None = Field(default=None, description="for git")
    build_service: Name | None = Field(default=None, description="for build_service")
    branch: BranchName | None = Field(default=None, description="for build_service")
    image: ImageRef | None = Field(default=None, description="for image")
    credential: Name | None = Field(default=None, description="for image: a credential of kind registry")

    @model_validator(mode="after")
    def _fill_in(self) -> Self:
        if self.type == "git" and self.build is None:
            self.build = BuildForm()
        return self


class ScheduleForm(Model):
    cron: Cron
    time_zone: TimeZone = "UTC"
    active: bool = True
    concurrency_policy: Literal["allow", "forbid", "replace"] = "allow"
    starting_deadline_seconds: Seconds = 100


class HealthCheckForm(Model):
    """`http` asks for `path` at `port`, `tcp` connects to `port`, `cmd` runs in the container."""

    type: Literal["liveness", "startup"]
    protocol: Literal["http", "tcp", "cmd"]
    path: WebPath | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    cmd: Command | None = None
    initial_delay_seconds: int = Field(default=10, ge=1, le=180)
    period_seconds: int = Field(default=10, ge=10, le=600)
    timeout_seconds: int = Field(default=5, ge=1, le=60)
    failure_threshold: int = Field(default=3, ge=1, le=255)
    success_threshold: int = Field(default=1, ge=1, le=255)


class EnvForm(Model):
    """A variable; a bare string stands for its value. A secret's value is write-only: it is shown as null."""

    value: EnvText | None = Field(default=None, repr=False)
    secret: bool = False
    scope: Literal["run", "build", "both"] = "run"


EnvEntry = Annotated[EnvForm, PlainEnv]
Variables = Annotated[dict[EnvName, EnvEntry], Field(max_length=limits.VARIABLES), EnvSize]


class JobForm(Model):
    """A job: where its image comes from, when it runs, and with what."""

    model_config = with_example(EXAMPLE)

    name: Name
    display_name: str = Field(default="", max_length=limits.DISPLAY_NAME)
    source: SourceForm = SourceForm(type="none")
    ci_enabled: bool = True
    cd_enabled: bool = True
    builds_in_flight: Literal["all", "latest"] = Field(
        default="all", description="for a source of type git; latest drops queued builds of older pushes"
    )
    run_on_image_change: Literal["never", "cd-promote", "always"] = "never"
    kind: Literal["manual", "cron"] = "manual"
    schedule: ScheduleForm | None = None
    deploy_trigger: Trigger | None = None
    command: Command | None = None
    entrypoint: Command | None = None
    shell: bool = Field(default=False, description="hands the command, or the process, to /bin/sh -c")
    process: ProcessName | None = None
    env: Variables = Field(default={})
    plan: PlanName = DEFAULT_PLAN
    instances: int = Field(default=1, ge=1, le=100)
    retry_limit: Retries = 0
    retry_backoff: Literal["none", "fixed", "exponential"] = "exponential"
    time_limit_seconds: Seconds | None = None
    grace_period_seconds: int = Field(default=30, ge=1, le=600)
    health_checks: list[HealthCheckForm] = Field(default=[], max_length=2)
    paused: bool = False


class JobPatch(RootModel[dict[str, Any]]):
    """Any fields of a job. Objects are merged field by field; in `env`, null deletes a variable."""

    model_config = with_example({"retry_limit": 2, "env": {"MODE": "weekly", "OLD": None}})


class ResumeForm(Model):
    """What to change while resuming; left out stays as it was before the pause."""

    model_config = with_example({"cd_enabled": False})

    ci_enabled: bool | None = None
    cd_enabled: bool | None = None
    schedule_active: bool | None = None


class GitAnswer(GitForm):
    webhook_secret: None = None
    has_webhook_secret: bool


class SourceAnswer(SourceForm):
    git: GitAnswer | None = None


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
    source: SourceAnswer
    env: dict[str, str | EnvForm]  # type: ignore[assignment]  # read as one form, shown as it is stored
    app: str | None = Field(description="the app that it deploys with")
    deployed: DeployedAnswer | None
    next_fire_at: Time | None
    last_run: LastRun | None
    last_build: LastBuild | None = Field(description="of its branch, that ended by itself")
    failing: bool = Field(description="the latest run failed, or the latest build of its branch")
    created_at: Time
    webhook_url: str = Field(description="where the repository's webhook has to point")
    warnings: list[str] = Field(description="what will not work as it is")


READ_ONLY = frozenset(JobAnswer.model_fields) - frozenset(JobForm.model_fields)
