"""Deployments: the components of an app move together, with jobs before, after, and on failure.

    pending ─begin▶ running ─▶ succeeded | failed | cancelled
       └─▶ superseded | cancelled       (`superseded` also once all its images may not move any more)

A running deployment is in one phase. Each move is one transaction over stored rows, so a server may die between any
two of them and the next one goes on:

    building ▶ pre_deploy ▶ post_deploy ▶ done         (all images move on entering post_deploy)
        └──────────┴─▶ failed_deploy ▶ done

`next_move` is the whole logic; it sees stored facts and nothing else.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.documents import Json, Stored
from app.domain.job.records import Deployed

Images = Mapping[int, Deployed]  # by the job's id


class DeploymentStatus(enum.StrEnum):
    PENDING = "pending"  # waits for the app's running deployment to end
    RUNNING = "running"  # is in a phase
    SUCCEEDED = "succeeded"  # is live; `warning` says if a post-deploy job failed
    FAILED = "failed"  # nothing moved
    CANCELLED = "cancelled"  # a person asked before anything moved
    SUPERSEDED = "superseded"  # another took its place before anything moved

    @property
    def is_final(self) -> bool:
        return self not in (DeploymentStatus.PENDING, DeploymentStatus.RUNNING)


class Phase(enum.StrEnum):
    BUILDING = "building"
    PRE_DEPLOY = "pre_deploy"
    POST_DEPLOY = "post_deploy"
    FAILED_DEPLOY = "failed_deploy"
    DONE = "done"


class Cause(enum.StrEnum):
    PUSH = "push"
    PROMOTION = "promotion"
    API = "api"
    ROLLBACK = "rollback"

    @property
    def is_explicit(self) -> bool:
        """Somebody asked for this very deployment, so no push may take its place."""
        return self is not Cause.PUSH


class StepKind(enum.StrEnum):
    BUILD = "build"
    PRE_DEPLOY = "pre_deploy"
    MOVE = "move"
    POST_DEPLOY = "post_deploy"
    FAILED_DEPLOY = "failed_deploy"


class StepStatus(enum.StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"  # not needed, or not reached; of a build: superseded by a newer push's

    @property
    def is_over(self) -> bool:
        return self not in (StepStatus.WAITING, StepStatus.RUNNING)


@dataclass(frozen=True)
class Step:
    """One visible part of a deployment: a build, a hook's run, or the move of all images."""

    id: int
    kind: StepKind
    position: int
    status: StepStatus
    job_id: int | None = None
    job: str | None = None
    build_id: int | None = None
    run_id: int | None = None
    sentence: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True)
class Deployment:
    """One deploy of an app. `images` are what its jobs get, and `snapshot` what they had after it, by the job's id."""

    id: int
    app_id: int
    app: str
    project_id: int
    project: str
    status: DeploymentStatus
    phase: Phase
    cause: Cause
    by: str
    sentence: str
    sha: str | None
    images: Images
    snapshot: Images
    keeps_cd: bool
    with_hooks: bool
    warning: str
    steps: tuple[Step, ...]
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None

    @property
    def is_chosen(self) -> bool:
        """Return whether somebody chose its images, which turns the jobs' CD off; a rollback holds the app's."""
        return not self.keeps_cd and self.cause is not Cause.ROLLBACK

    def of_kind(self, kind: StepKind) -> Sequence[Step]:
        return [step for step in self.steps if step.kind is kind]


def images_to_json(images: Images) -> Json:
    return {str(job_id): image.to_json() for job_id, image in images.items()}


def images_from_json(stored: Stored) -> dict[int, Deployed]:
    return {int(job_id): Deployed.from_json(document) for job_id, document in stored.items()}


@dataclass(frozen=True)
class Wait:
    """Nothing to do until a build or run ends."""


@dataclass(frozen=True)
class StartHook:
    """Start the run of this step."""

    step: Step


@dataclass(frozen=True)
class Enter:
    """Go on to a phase that follows from success."""

    phase: Phase


@dataclass(frozen=True)
class Fail:
    """Go on to the failed-deploy jobs."""

    because: str


@dataclass(frozen=True)
class Finish:
    """It is over."""

    status: DeploymentStatus


Move = Wait | StartHook | Enter | Fail | Finish


def next_move(deployment: Deployment) -> Move:
    """Return what is to be done now. The steps' statuses are those of their builds and runs."""
    match deployment.phase:
        case Phase.BUILDING:
            return _after_builds(deployment)
        case Phase.PRE_DEPLOY:
            return _after_pre_deploy(deployment)
        case Phase.POST_DEPLOY:
            hooks = deployment.of_kind(StepKind.POST_DEPLOY)
            return _one_by_one(hooks) or Finish(DeploymentStatus.SUCCEEDED)
        case Phase.FAILED_DEPLOY:
            hooks = deployment.of_kind(StepKind.FAILED_DEPLOY)
            return _one_by_one(hooks) or Finish(DeploymentStatus.FAILED)
        case Phase.DONE:
            return Wait()


def _after_builds(deployment: Deployment) -> Move:
    """Wait for all builds, also when one has failed, so that which images there are is no matter of luck."""
    steps = deployment.of_kind(StepKind.BUILD)
    are_over = all(step.status.is_over for step in steps)
    failed = [step for step in steps if step.status is StepStatus.FAILED]
    if are_over and failed:
        listed = " and ".join(str(step.build_id) for step in failed)
        return Fail(f"build{'s' * (len(failed) != 1)} {listed} did not succeed")
    if deployment.cancel_requested_at is not None:
        return Finish(DeploymentStatus.CANCELLED)
    if not are_over:
        return Wait()
    if steps and all(step.status is StepStatus.SKIPPED for step in steps):
        return Finish(DeploymentStatus.SUPERSEDED)
    return Enter(Phase.PRE_DEPLOY)


def _after_pre_deploy(deployment: Deployment) -> Move:
    """A cancelled deployment waits for the end of the hook that was cancelled with it, and is not a failed one."""
    steps = deployment.of_kind(StepKind.PRE_DEPLOY)
    if deployment.cancel_requested_at is not None:
        is_running = any(step.status is StepStatus.RUNNING for step in steps)
        return Wait() if is_running else Finish(DeploymentStatus.CANCELLED)
    failed = [step for step in steps if step.status is StepStatus.FAILED]
    if failed:
        return Fail(f"pre-deploy job {failed[0].job} did not succeed")
    return _one_by_one(steps) or Enter(Phase.POST_DEPLOY)


def _one_by_one(steps: Sequence[Step]) -> Move | None:
    """Hooks run in their declared order, one after the other; None when all are over."""
    for step in sorted(steps, key=lambda each: each.position):
        if step.status is StepStatus.RUNNING:
            return Wait()
        if step.status is StepStatus.WAITING:
            return StartHook(step)
    return None
