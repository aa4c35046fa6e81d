"""Apps and their deployments as they are given and shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from app.domain.deployments import Cause, Deployment, DeploymentStatus, Images, Phase, StepKind, StepStatus
from app.domain.job.spec import DeployTrigger
from app.web.numbers import LARGEST
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import Name, Sha, Time
from app.web.schemas.job import DeployedAnswer, deployed_answer

Jobs = Annotated[list[Name], Field(min_length=1, max_length=100)]


class AppForm(Model):
    """Jobs that deploy together. Those with a deploy trigger, or listed in `hooks`, run when the app is deployed."""

    model_config = with_example({"name": "shop", "jobs": ["report"]})

    name: Name
    jobs: Jobs = Field(description="in the order in which hooks of one kind run")
    hooks: list[Name] = Field(
        default=[], max_length=100, description="jobs that are post-deploy if they have no deploy trigger"
    )


class AppPatch(Model):
    model_config = with_example({"jobs": ["report"]})

    jobs: Jobs | None = None
    hooks: list[Name] | None = Field(default=None, max_length=100)


class MemberAnswer(Model):
    job: str
    deploy_trigger: DeployTrigger | None = Field(description="when it runs in a deployment, if it is a hook")
    deployed: DeployedAnswer | None


class AppAnswer(Model):
    id: int
    project: str
    name: str
    jobs: list[str]
    members: list[MemberAnswer]
    held_by: int | None = Field(description="the rollback that holds continuous delivery until released")
    deployment: int | None = Field(description="the latest deployment")
    created_at: Time


class DeployForm(Model):
    """A commit, or builds, or (neither) the latest builds; only the latest keep CD on."""

    model_config = with_example({"sha": "4f2a9c1d5e6b7a8091a2b3c4d5e6f70812345678"})

    sha: Sha | None = Field(default=None, description="built first where there is no build of it")
    builds: list[Annotated[int, Field(ge=1, le=LARGEST)]] | None = Field(
        default=None, min_length=1, max_length=100, description="ids"
    )
    confirm_paused: bool = Field(default=False, description="also to paused jobs")


class RollbackForm(Model):
    model_config = with_example({"with_hooks": False})

    with_hooks: bool = Field(default=False, description="run pre- and post-deploy jobs as well")
    confirm_paused: bool = Field(default=False, description="also of paused jobs")


class StepAnswer(Model):
    kind: StepKind
    status: StepStatus
    job: str | None
    build: int | None
    run: int | None
    sentence: str
    started_at: Time | None
    finished_at: Time | None


class DeploymentAnswer(Model):
    """One deploy of an app; its steps are in the order in which they happen."""

    id: int
    project: str
    app: str
    status: DeploymentStatus
    phase: Phase
    cause: Cause
    by: str
    sentence: str
    sha: str | None
    warning: str = Field(description="why it did not go live, or what failed after it did")
    keeps_cd: bool
    with_hooks: bool
    images: dict[str, DeployedAnswer] = Field(description="what its jobs get, as far as it is known yet")
    snapshot: dict[str, DeployedAnswer] = Field(description="what all jobs of the app had once it was live")
    steps: list[StepAnswer]
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    cancel_requested_at: Time | None


SAME = (
    "id", "project", "app", "status", "phase", "cause", "by", "sentence", "sha", "warning", "keeps_cd", "with_hooks",
    "created_at", "started_at", "finished_at", "cancel_requested_at",
)  # fmt: skip


def deployment_answer(deployment: Deployment, job_names: Mapping[int, str]) -> DeploymentAnswer:
    """`job_names` by id, as text."""
    fields: dict[str, Any] = {name: getattr(deployment, name) for name in SAME}
    steps = [
        StepAnswer(
            kind=step.kind,
            status=step.status,
            job=step.job,
            build=step.build_id,
            run=step.run_id,
            sentence=step.sentence,
            started_at=step.started_at,
            finished_at=step.finished_at,
        )
        for step in deployment.steps
    ]
    return DeploymentAnswer(
        **fields,
        images=_images(deployment.images, job_names),
        snapshot=_images(deployment.snapshot, job_names),
        steps=steps,
    )


def _images(images: Images, job_names: Mapping[int, str]) -> dict[str, DeployedAnswer]:
    return {
        job_names[job_id]: deployed_answer(image) for job_id, image in images.items() if job_id in job_names
    }
