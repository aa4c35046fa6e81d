"""Every unfinished deployment goes on as far as it can, one transaction at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.commands.deployments import affected_jobs, decide, end_unmoved, members_of
from app.commands.image_rollout import Occasion, admission_of, carry_out, forecast_build, image_of
from app.commands.rebuilds import image_by
from app.commands.runs import enqueue_run
from app.domain.builds import Build, BuildReason, BuildStatus
from app.domain.decisions import EventType, Verdict
from app.domain.deployments import (
    Cause,
    Deployment,
    DeploymentStatus,
    Enter,
    Fail,
    Finish,
    Images,
    Phase,
    StartHook,
    Step,
    StepKind,
    StepStatus,
    Wait,
    next_move,
)
from app.domain.events import short
from app.domain.job.records import Deployed, Job
from app.domain.rollout import Forecast, HookForecast, forecast, forecast_hook
from app.domain.rules import ImageEvent
from app.domain.runs import Run, RunStatus, Trigger, TriggerType
from app.runtime.ports import Clock, Names
from app.store import apps, builds, deployments, jobs, runs
from app.store.database import Database, StoreUnavailable, Tx

log = logging.getLogger(__name__)
TRIGGERS = {
    StepKind.PRE_DEPLOY: TriggerType.PRE_DEPLOY,
    StepKind.POST_DEPLOY: TriggerType.POST_DEPLOY,
    StepKind.FAILED_DEPLOY: TriggerType.FAILED_DEPLOY,
}
EVENTS = {
    Cause.PUSH: ImageEvent.BUILD_SUCCEEDED,
    Cause.API: ImageEvent.DEPLOYED,
    Cause.PROMOTION: ImageEvent.PROMOTED,
    Cause.ROLLBACK: ImageEvent.DEPLOYED,
}


@dataclass(frozen=True)
class Move:
    """What becomes of one job's image when the deployment's images move."""

    image: Deployed
    occasion: Occasion
    ahead: Forecast


@dataclass(frozen=True)
class DeploymentWorker:
    """Moves every unfinished deployment on by one step."""

    db: Database
    clock: Clock
    names: Names

    def step(self) -> bool:
        """True if anything moved. A deployment that meets a fault of ours does not hold up the others."""
        with self.db.read() as tx:
            unfinished = deployments.unfinished(tx)
        return sum(self._try_to_advance(deployment_id) for deployment_id in unfinished) > 0

    def _try_to_advance(self, deployment_id: int) -> bool:
        try:
            return self._advance(deployment_id)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("deployment %s could not go on", deployment_id)
            return False

    def _advance(self, deployment_id: int) -> bool:
        with self.db.read() as tx:
            seen = deployments.with_id(tx, deployment_id)
            synced = _synced(tx, seen)
        if synced == seen and (
            seen.status is DeploymentStatus.PENDING or isinstance(next_move(synced), Wait)
        ):
            return False
        with self.db.write() as tx:
            deployments.lock_app(tx, seen.app_id)
            current = deployments.with_id(tx, deployment_id)
            if current.status is not DeploymentStatus.RUNNING:
                return False
            now = self.clock.now()
            saved = _save(tx, current, _synced(tx, current), now)
            self._move_on(tx, saved, now)
        return True

    def _move_on(self, tx: Tx, deployment: Deployment, now: datetime) -> None:
        match next_move(deployment):
            case Wait():
                return
            case StartHook(step):
                self._start_hook(tx, deployment, step, now)
            case Enter(Phase.PRE_DEPLOY):
                self._take_images(tx, deployment, now)
            case Enter():
                self._move_images(tx, deployment, now)
            case Fail(because):
                _fail(tx, deployment, because, now)
            case Finish(status):
                _finish(tx, deployment, status, now)

    def _start_hook(self, tx: Tx, deployment: Deployment, step: Step, now: datetime) -> None:
        assert step.job_id is not None
        job = jobs.with_id(tx, step.job_id)
        kind = str(step.kind).replace("_", "-")
        what = f"{kind} job of deployment {deployment.id} of app {deployment.app}"
        what = f"{what[0].upper()}{what[1:]}"
        image = _image_for_hook(deployment, job)
        ahead = forecast_hook(job, kind, what, gets_image=image is not None)
        if not ahead.starts:
            _skip_hook(tx, deployment, step, ahead, now)
        else:
            trigger = Trigger(TRIGGERS[step.kind], by=deployment.by or None, cause=ahead.sentence)
            run_id = enqueue_run(tx, self.names, job, trigger, now, image=image)
            deployments.set_step(tx, deployment, step, StepStatus.RUNNING, now, run_id=run_id)
            decide(
                tx, deployment, job, Verdict.STARTED, ahead.rule, ahead.sentence, now,
                step_id=step.id, run_id=run_id,
            )  # fmt: skip

    def _take_images(self, tx: Tx, deployment: Deployment, now: datetime) -> None:
        """The images are known; the pre-deploy jobs are next, unless nothing would move after them."""
        deployment = replace(deployment, images=_images(tx, deployment, now))
        moves = _moves(tx, deployment, now)
        if any(each.ahead.moves for each in moves):
            deployments.enter(tx, deployment, Phase.PRE_DEPLOY, images=deployment.images)
        else:
            self._give_way(tx, deployment, moves, now)

    def _move_images(self, tx: Tx, deployment: Deployment, now: datetime) -> None:
        """Move all images at once, each by the rules for a single job's, but without starting hooks by it."""
        moves = _moves(tx, deployment, now)
        if not any(each.ahead.moves for each in moves):
            self._give_way(tx, deployment, moves, now)
            return
        moved = deployments.enter(tx, deployment, Phase.POST_DEPLOY)
        if moved is None:
            return
        for each in moves:
            self._carry_out(tx, deployment, each, now)
        if deployment.cause is Cause.ROLLBACK:
            apps.hold(tx, deployment.app_id, deployment.id)
        for step in deployment.of_kind(StepKind.MOVE):
            deployments.set_step(tx, deployment, step, StepStatus.SUCCEEDED, now)
        _skip(tx, deployment, [StepKind.FAILED_DEPLOY], "Not needed: the deployment did not fail.", now)
        snapshot = {job.id: job.deployed for job in members_of(tx, deployment) if job.deployed is not None}
        deployments.keep_snapshot(tx, moved, snapshot)

    def _give_way(self, tx: Tx, deployment: Deployment, moves: Sequence[Move], now: datetime) -> None:
        """No image may move any more: newer ones are deployed, or CD was switched off meanwhile."""
        reasons = dict.fromkeys(each.ahead.sentence for each in moves)
        why = " ".join(reasons) or "There is no image for any of its jobs."
        if deployments.end(tx, deployment, DeploymentStatus.SUPERSEDED, f"Nothing moved. {why}", now) is None:
            return
        for each in moves:
            self._carry_out(tx, deployment, each, now)
        deployments.begin_next(tx, deployment.app_id, now)

    def _carry_out(self, tx: Tx, deployment: Deployment, each: Move, now: datetime) -> None:
        carry_out(tx, self.names, each.occasion, each.ahead, each.image, now, deployment_id=deployment.id)


def _fail(tx: Tx, deployment: Deployment, because: str, now: datetime) -> None:
    sentence = f"Deployment {deployment.id} failed: {because}; nothing moved."
    images = _images(tx, deployment, now)
    if deployments.enter(tx, deployment, Phase.FAILED_DEPLOY, warning=sentence, images=images) is None:
        return
    never = [StepKind.PRE_DEPLOY, StepKind.MOVE, StepKind.POST_DEPLOY]
    _skip(tx, deployment, never, "Not reached: the deployment failed before.", now)
    for job in affected_jobs(tx, deployment):
        decide(tx, deployment, job, Verdict.SKIPPED, "deployment_failed", sentence, now)


def _finish(tx: Tx, deployment: Deployment, status: DeploymentStatus, now: datetime) -> None:
    match status:
        case DeploymentStatus.CANCELLED:
            end_unmoved(tx, deployment, status, deployment.warning, now)
        case DeploymentStatus.SUPERSEDED:
            sentence = "Its builds were superseded by those of a newer push."
            end_unmoved(tx, deployment, status, sentence, now)
        case DeploymentStatus.FAILED:
            deployments.end(tx, deployment, status, deployment.warning, now)
        case _:
            deployments.end(tx, deployment, status, _warning(deployment), now)
    deployments.begin_next(tx, deployment.app_id, now)


def _warning(deployment: Deployment) -> str:
    steps = deployment.of_kind(StepKind.POST_DEPLOY)
    failed = [str(step.job) for step in steps if step.status is StepStatus.FAILED]
    if not failed:
        return ""
    return f"Live, but post-deploy job{'s' * (len(failed) != 1)} {', '.join(failed)} did not succeed."


def _image_for_hook(deployment: Deployment, job: Job) -> Deployed | None:
    """The new one where the deployment has one for the job, else what the job has."""
    return deployment.images.get(job.id, job.deployed)


def _skip_hook(tx: Tx, deployment: Deployment, step: Step, ahead: HookForecast, now: datetime) -> None:
    """A job that can't run. Without its pre-deploy jobs a deployment does not go on, unless somebody paused them."""
    fails = step.kind is StepKind.PRE_DEPLOY and ahead.rule != "paused"
    status = StepStatus.FAILED if fails else StepStatus.SKIPPED
    deployments.set_step(tx, deployment, step, status, now, sentence=ahead.sentence)
    decide(tx, deployment, ahead.job, Verdict.SKIPPED, ahead.rule, ahead.sentence, now, step_id=step.id)


def _moves(tx: Tx, deployment: Deployment, now: datetime) -> Sequence[Move]:
    """Return what becomes of each job that the deployment has an image for."""
    app = apps.with_id(tx, deployment.app_id)
    hooks = {member.job_id for member in app.members if member.hook is not None}
    moves = []
    for job in members_of(tx, deployment):
        image = deployment.images.get(job.id)
        if image is None:
            continue
        image = replace(image, at=now)
        event, what, is_hook = EVENTS[deployment.cause], _what(deployment, job, image), job.id in hooks
        if deployment.cause is Cause.PUSH and image.build_id is not None:
            build = builds.with_id(tx, image.build_id)
            ahead = forecast_build(tx, build, job, event, what, app, is_hook=is_hook)
        else:
            admission, is_chosen = admission_of(tx, job), deployment.is_chosen
            ahead = forecast(job, event, what, admission=admission, is_chosen=is_chosen, is_hook=is_hook)
        by = deployment.by or None
        occasion = Occasion(event, (EventType.DEPLOYMENT, deployment.id), by, image.build_id)
        moves.append(Move(image, occasion, ahead))
    return moves


def _what(deployment: Deployment, job: Job, image: Deployed) -> str:
    of = short(image.sha) if image.sha else image.image
    match deployment.cause:
        case Cause.ROLLBACK:
            return f"Deployment {deployment.id} rolled back to {of} (CD is held now)"
        case Cause.PROMOTION:
            return f"Deployment {deployment.id} promoted {of}"
        case _:
            return f"Deployment {deployment.id} has {of} for job {job.name}"


def _images(tx: Tx, deployment: Deployment, now: datetime) -> Images:
    """Return what the app's jobs get: the images it began with, and those of its builds, the newest for each job.

    A build that makes an image again is for what names it, and for nothing else.
    """
    ids = [step.build_id for step in deployment.of_kind(StepKind.BUILD) if step.build_id is not None]
    made = builds.with_ids(tx, ids)
    images: dict[int, Deployed] = {}
    named = set()
    for job_id, image in deployment.images.items():
        build = None if image.build_id is None else made.get(image.build_id)
        if build is None:
            images[job_id] = image
            continue
        named.add(build.id)
        if build.status is BuildStatus.SUCCEEDED:
            images[job_id] = image_by(build, image)
    others = [each for each in made.values() if each.status is BuildStatus.SUCCEEDED and each.id not in named]
    for build in sorted(others, key=lambda each: (each.position, each.id)):
        sources = builds.sources_of(tx, build.id)
        for job in members_of(tx, deployment):
            if job.source is not None and job.source.id in sources:
                images[job.id] = image_of(build, job, now)
    return images


def _synced(tx: Tx, deployment: Deployment) -> Deployment:
    """The deployment with its steps' statuses brought up to their builds' and runs'."""
    return replace(deployment, steps=tuple(_synced_step(tx, step) for step in deployment.steps))


def _synced_step(tx: Tx, step: Step) -> Step:
    if step.status.is_over:
        return step
    if step.build_id is not None:
        build = builds.with_id(tx, step.build_id)
        return replace(step, status=_status_of_build(build), sentence=build.sentence)
    if step.run_id is not None:
        run = runs.with_id(tx, step.run_id)
        return replace(step, status=_status_of_run(run), sentence=run.sentence)
    return step


def _status_of_build(build: Build) -> StepStatus:
    match build.status:
        case BuildStatus.QUEUED:
            return StepStatus.WAITING
        case BuildStatus.RUNNING:
            return StepStatus.RUNNING
        case BuildStatus.SUCCEEDED:
            return StepStatus.SUCCEEDED
        case _ if build.reason is BuildReason.SUPERSEDED:
            return StepStatus.SKIPPED
        case _:
            return StepStatus.FAILED


def _status_of_run(run: Run) -> StepStatus:
    if not run.status.is_final:
        return StepStatus.RUNNING
    return StepStatus.SUCCEEDED if run.status is RunStatus.SUCCEEDED else StepStatus.FAILED


def _save(tx: Tx, stored: Deployment, synced: Deployment, now: datetime) -> Deployment:
    """Store what has become of the steps: the deployment as it is then."""
    steps = (
        before
        if before == after
        else deployments.set_step(tx, stored, before, after.status, now, sentence=after.sentence) or before
        for before, after in zip(stored.steps, synced.steps, strict=True)
    )
    return replace(stored, steps=tuple(steps))


def _skip(tx: Tx, deployment: Deployment, kinds: Sequence[StepKind], sentence: str, now: datetime) -> None:
    """Close the steps of these kinds that nobody will reach any more."""
    for step in deployment.steps:
        if step.kind in kinds and step.status is StepStatus.WAITING:
            deployments.set_step(tx, deployment, step, StepStatus.SKIPPED, now, sentence=sentence)
