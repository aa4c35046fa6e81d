"""Deployments of apps: made by pushes, promotions, people and rollbacks, and moved on one transaction at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.domain.builds import Build, BuildStatus
from app.domain.decisions import EventType, Verdict
from app.domain.deployments import (
    Cause,
    Deployment,
    DeploymentStatus,
    Enter,
    Phase,
    StartHook,
    Step,
    StepKind,
    StepStatus,
    Wait,
    next_move,
)
from app.domain.jobs import Deployed, Job
from app.domain.rules import ImageChange, ImageEvent, on_image_change
from app.domain.runs import Run, RunStatus, Trigger, TriggerType
from app.orchestration.deploying import Occasion, carry_out, image_of, is_tracked, overtaken_by
from app.orchestration.dispatch import enqueue_run, short
from app.orchestration.ports import Clock, Names
from app.store import apps, builds, decisions, deployments, jobs, runs
from app.store.apps import App
from app.store.database import Database, Tx
from app.store.deployments import NewStep

HOOK_STEPS = {
    "pre-deploy": StepKind.PRE_DEPLOY,
    "post-deploy": StepKind.POST_DEPLOY,
    "failed-deploy": StepKind.FAILED_DEPLOY,
}
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


def begin(
    tx: Tx,
    app: App,
    *,
    cause: Cause,
    by: str,
    sentence: str,
    now: datetime,
    build_ids: Iterable[int] = (),
    images: Mapping[int, Deployed] | None = None,
    sha: str | None = None,
    keeps_cd: bool = False,
    with_hooks: bool = True,
) -> int:
    """A new deployment of an app, from builds that may still be going, or from images by job id.

    It waits if one is in progress, in the place of one that waited before.
    """
    steps = [NewStep(StepKind.BUILD, build_id=build_id) for build_id in dict.fromkeys(build_ids)]
    hooks = [
        NewStep(HOOK_STEPS[member.hook], job_id=member.job_id)
        for member in app.members
        if member.hook is not None and with_hooks
    ]
    of_kind = {kind: [hook for hook in hooks if hook.kind is kind] for kind in HOOK_STEPS.values()}
    deployment_id = deployments.create(
        tx,
        project_id=app.project_id,
        app_id=app.id,
        cause=cause,
        by=by,
        sentence=sentence,
        sha=sha,
        images={str(job_id): _document(image) for job_id, image in (images or {}).items()},
        keeps_cd=keeps_cd,
        with_hooks=with_hooks,
        steps=[
            *steps,
            *of_kind[StepKind.PRE_DEPLOY],
            NewStep(StepKind.MOVE),
            *of_kind[StepKind.POST_DEPLOY],
            *of_kind[StepKind.FAILED_DEPLOY],
        ],
        now=now,
    )
    deployments.supersede_pending(tx, app.id, deployment_id, now)
    deployments.begin_next(tx, app.id, now)
    return deployment_id


def deploy_push(tx: Tx, built: Sequence[tuple[int, Sequence[Job]]], sha: str, by: str, now: datetime) -> None:
    """One deployment per app for everything a push built: `built` are build ids, each with the jobs it is for."""
    by_app: dict[int, list[int]] = {}
    for build_id, of_build in built:
        for job in of_build:
            app = apps.of_job(tx, job.id)
            if app is not None and app.held_by is None and job.cd_enabled and not job.paused:
                by_app.setdefault(app.id, []).append(build_id)
    for app_id, build_ids in by_app.items():
        app = apps.with_id(tx, app_id)
        sentence = f"Push of {short(sha)} by {by}." if by else f"Push of {short(sha)}."
        begin(
            tx,
            app,
            cause=Cause.PUSH,
            by=by,
            sentence=sentence,
            now=now,
            build_ids=build_ids,
            sha=sha,
            keeps_cd=True,
        )


@dataclass(frozen=True)
class Deployer:
    """Moves every unfinished deployment on as far as it goes."""

    db: Database
    clock: Clock
    names: Names

    def step(self) -> bool:
        """True if anything moved."""
        with self.db.read() as tx:
            unfinished = deployments.unfinished(tx)
        return sum(self._advance(deployment_id) for deployment_id in unfinished) > 0

    def _advance(self, deployment_id: int) -> bool:
        with self.db.read() as tx:
            seen = deployments.with_id(tx, deployment_id)
            if seen.status is DeploymentStatus.RUNNING and isinstance(next_move(_synced(tx, seen)), Wait):
                return False
        with self.db.write() as tx:
            now = self.clock.now()
            current = deployments.with_id(tx, deployment_id)
            if current.status is DeploymentStatus.PENDING:
                return deployments.begin_next(tx, current.app_id, now) is not None
            if current.status.is_final:
                return False
            synced = _synced(tx, current)
            _save(tx, current, synced, now)
            match next_move(synced):
                case Wait():
                    return False
                case StartHook(step):
                    self._start_hook(tx, synced, step, now)
                case Enter(phase, because):
                    self._enter(tx, synced, phase, because, now)
            return True

    def _enter(self, tx: Tx, deployment: Deployment, phase: Phase, because: str, now: datetime) -> None:
        match phase:
            case Phase.PRE_DEPLOY:
                images = {**deployment.images, **_images_of_builds(tx, deployment, now)}
                deployments.enter(tx, deployment, phase, images=images)
            case Phase.POST_DEPLOY:
                self._move_images(tx, deployment, now)
            case Phase.FAILED_DEPLOY:
                self._fail(tx, deployment, because, now)
            case Phase.DONE:
                self._finish(tx, deployment, because, now)
            case Phase.BUILDING:
                raise AssertionError("a deployment begins with its builds")

    def _start_hook(self, tx: Tx, deployment: Deployment, step: Step, now: datetime) -> None:
        assert step.job_id is not None
        job = jobs.with_id(tx, step.job_id)
        new = deployment.images.get(str(job.id))
        image = _value(new) if new is not None else job.deployed
        event = (EventType.DEPLOYMENT, f"{deployment.id}:{step.id}")
        kind = str(step.kind).replace("_", "-")
        if image is None:
            sentence = f"{kind} job of deployment {deployment.id}: it has no image yet, so it can't run."
            status = StepStatus.SKIPPED if step.kind is StepKind.FAILED_DEPLOY else StepStatus.FAILED
            deployments.set_step(tx, step.id, status, now, sentence=sentence)
            _decide(tx, deployment, job, event, Verdict.SKIPPED, "no_image", sentence, now)
            return
        sentence = f"{kind} job of deployment {deployment.id} of app {deployment.app}."
        trigger = Trigger(TRIGGERS[step.kind], by=deployment.by or None, cause=sentence)
        run_id = enqueue_run(tx, self.names, job, trigger, now, image=image)
        deployments.set_step(tx, step.id, StepStatus.RUNNING, now, run_id=run_id)
        deployments.enter(tx, deployment, deployment.phase)
        _decide(tx, deployment, job, event, Verdict.STARTED, str(step.kind), sentence, now, run_id)

    def _move_images(self, tx: Tx, deployment: Deployment, now: datetime) -> None:
        """All images at once, each by the same rules as a single job's; hooks don't run because of it as well."""
        app = apps.with_id(tx, deployment.app_id)
        hooks = {member.job_id for member in app.members if member.hook is not None}
        for member in app.members:
            document = deployment.images.get(str(member.job_id))
            if document is None:
                continue
            job = jobs.with_id(tx, member.job_id)
            image = replace(_value(document), at=now)
            occasion = Occasion(
                EVENTS[deployment.cause],
                (EventType.DEPLOYMENT, deployment.id),
                _what(deployment, image),
                deployment.by or None,
                image.build_id,
            )
            change = _change(tx, deployment, job, image, occasion)
            if member.job_id in hooks and change.runs:
                change = replace(change, runs=False, rule="hook", sentence=_as_hook(change.sentence))
            if change.moves and not deployment.keeps_cd and deployment.cause is not Cause.ROLLBACK:
                _turn_cd_off(tx, job, now)
            carry_out(tx, self.names, job, occasion, change, image, now, deployment_id=deployment.id)
        snapshot = {
            str(member.job_id): _document(deployed)
            for member in app.members
            if (deployed := jobs.with_id(tx, member.job_id).deployed) is not None
        }
        if deployment.cause is Cause.ROLLBACK:
            apps.hold(tx, app.id, deployment.id)
        for step in deployment.of_kind(StepKind.MOVE):
            deployments.set_step(tx, step.id, StepStatus.SUCCEEDED, now, started_at=now)
        _skip(tx, deployment, [StepKind.FAILED_DEPLOY], "Not needed: the deployment did not fail.", now)
        deployments.enter(tx, deployment, Phase.POST_DEPLOY, snapshot=snapshot)

    def _fail(self, tx: Tx, deployment: Deployment, because: str, now: datetime) -> None:
        sentence = f"Deployment {deployment.id} failed: {because}; nothing moved."
        never = [StepKind.PRE_DEPLOY, StepKind.MOVE, StepKind.POST_DEPLOY]
        _skip(tx, deployment, never, "Not reached: the deployment failed before.", now)
        images = {**deployment.images, **_images_of_builds(tx, deployment, now)}
        deployments.enter(tx, deployment, Phase.FAILED_DEPLOY, warning=sentence, images=images)
        _decide_for_all(tx, deployment, "deployment_failed", sentence, now)

    def _finish(self, tx: Tx, deployment: Deployment, because: str, now: datetime) -> None:
        warning = deployment.warning
        if deployment.phase is Phase.POST_DEPLOY:
            status = DeploymentStatus.SUCCEEDED
            failed = [
                step.job
                for step in deployment.of_kind(StepKind.POST_DEPLOY)
                if step.status is StepStatus.FAILED
            ]
            if failed:
                warning = f"Live, but post-deploy job {', '.join(str(job) for job in failed)} failed."
        elif because == "cancelled":
            status = DeploymentStatus.CANCELLED
            warning = "Cancelled before anything moved."
            _skip(tx, deployment, list(StepKind), "Not reached: the deployment was cancelled.", now)
            _decide_for_all(tx, deployment, "cancelled", f"Deployment {deployment.id} was cancelled.", now)
        else:
            status = DeploymentStatus.FAILED
        deployments.enter(tx, deployment, Phase.DONE, status=status, warning=warning, finished_at=now)
        deployments.begin_next(tx, deployment.app_id, now)


def _change(tx: Tx, deployment: Deployment, job: Job, image: Deployed, occasion: Occasion) -> ImageChange:
    overtaken = None
    if deployment.cause is Cause.PUSH and image.build_id is not None:
        build = builds.with_id(tx, image.build_id)
        if not is_tracked(build, job):
            why = "the job's source is another by now, so the build is only available."
            return ImageChange(
                moves=False, runs=False, rule="other_source", sentence=f"{occasion.what}: {why}"
            )
        overtaken = overtaken_by(build, job)
    return on_image_change(occasion.kind, job, what=occasion.what, overtaken_by=overtaken)


def _what(deployment: Deployment, image: Deployed) -> str:
    of = f"{short(image.sha)}" if image.sha else image.image
    match deployment.cause:
        case Cause.ROLLBACK:
            return f"Deployment {deployment.id} rolled back to {of}"
        case Cause.PROMOTION:
            return f"Deployment {deployment.id} promoted {of}"
        case _:
            return f"Deployment {deployment.id} of {of} reached its components"


def _as_hook(sentence: str) -> str:
    return f"{sentence.removesuffix('.')}, but the job runs as a hook of the deployment instead."


def _turn_cd_off(tx: Tx, job: Job, now: datetime) -> None:
    if job.cd_enabled and job.source is not None:
        jobs.set_cd(tx, job.id, enabled=False, now=now)


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
    if not build.status.is_final:
        return StepStatus.RUNNING
    return StepStatus.SUCCEEDED if build.status is BuildStatus.SUCCEEDED else StepStatus.FAILED


def _status_of_run(run: Run) -> StepStatus:
    if not run.status.is_final:
        return StepStatus.RUNNING
    return StepStatus.SUCCEEDED if run.status is RunStatus.SUCCEEDED else StepStatus.FAILED


def _save(tx: Tx, stored: Deployment, synced: Deployment, now: datetime) -> None:
    for before, after in zip(stored.steps, synced.steps, strict=True):
        if before.status is not after.status:
            deployments.set_step(tx, after.id, after.status, now, sentence=after.sentence)


def _skip(tx: Tx, deployment: Deployment, kinds: Sequence[StepKind], sentence: str, now: datetime) -> None:
    """Close the steps of these kinds that nobody will reach any more."""
    for step in deployment.steps:
        if step.kind in kinds and step.status is StepStatus.WAITING:
            deployments.set_step(tx, step.id, StepStatus.SKIPPED, now, sentence=sentence)


def _images_of_builds(tx: Tx, deployment: Deployment, now: datetime) -> dict[str, Any]:
    """What the app's jobs get from the deployment's successful builds."""
    app = apps.with_id(tx, deployment.app_id)
    members = [jobs.with_id(tx, member.job_id) for member in app.members]
    images: dict[str, Any] = {}
    for step in deployment.of_kind(StepKind.BUILD):
        assert step.build_id is not None
        build = builds.with_id(tx, step.build_id)
        if build.status is not BuildStatus.SUCCEEDED:
            continue
        sources = set(builds.sources_of(tx, build.id))
        for job in members:
            if job.source is not None and job.source.id in sources:
                images[str(job.id)] = _document(image_of(build, now))
    return images


def _decide_for_all(tx: Tx, deployment: Deployment, rule: str, sentence: str, now: datetime) -> None:
    """One decision for each job that would have got an image."""
    app = apps.with_id(tx, deployment.app_id)
    sources = {
        source
        for step in deployment.of_kind(StepKind.BUILD)
        if step.build_id
        for source in builds.sources_of(tx, step.build_id)
    }
    for member in app.members:
        job = jobs.with_id(tx, member.job_id)
        concerned = str(job.id) in deployment.images or (job.source is not None and job.source.id in sources)
        if concerned:
            event = (EventType.DEPLOYMENT, deployment.id)
            _decide(tx, deployment, job, event, Verdict.SKIPPED, rule, sentence, now)


def _decide(
    tx: Tx,
    deployment: Deployment,
    job: Job,
    event: tuple[EventType, str | int],
    verdict: Verdict,
    rule: str,
    sentence: str,
    now: datetime,
    run_id: int | None = None,
) -> None:
    decisions.record(
        tx,
        at=now,
        event=event,
        project_id=job.project_id,
        job_id=job.id,
        verdict=verdict,
        rule=rule,
        sentence=sentence,
        run_id=run_id,
        deployment_id=deployment.id,
    )


def _document(image: Deployed) -> dict[str, Any]:
    return {**vars(image), "at": image.at.isoformat()}


def _value(document: Mapping[str, Any]) -> Deployed:
    return Deployed(**{**document, "at": datetime.fromisoformat(document["at"])})
