"""Deployments of apps begin, take each other's place, and are called off; `workers.deployments` moves them on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from app.commands.runs import cancel_run
from app.domain.decisions import EventType, Verdict
from app.domain.deployments import Cause, Deployment, DeploymentStatus, Phase, StepKind
from app.domain.errors import Conflict
from app.domain.events import short
from app.domain.job.records import Deployed, Job
from app.store import apps, builds, decisions, deployments, jobs, runs
from app.store.apps import App
from app.store.database import Tx
from app.store.deployments import NewStep

HOOK_STEPS = {
    "pre-deploy": StepKind.PRE_DEPLOY,
    "post-deploy": StepKind.POST_DEPLOY,
    "failed-deploy": StepKind.FAILED_DEPLOY,
}


def begin_deployment(
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
) -> Deployment:
    """A new deployment of an app, from builds that may still be going, or from images by job id.

    It waits if one is in progress, in the place of one that waited before; but a push never takes the place of what
    somebody asked for.
    """
    deployments.lock_app(tx, app.id)
    waiting = deployments.pending(tx, app.id)
    wanted = list(dict.fromkeys(build_ids))
    if waiting is not None and not (waiting.cause.is_explicit or cause.is_explicit):
        wanted = [*_still_wanted(tx, app, waiting, wanted), *wanted]
    made = deployments.create(
        tx,
        project_id=app.project_id,
        app_id=app.id,
        cause=cause,
        by=by,
        sentence=sentence,
        sha=sha,
        images=images or {},
        keeps_cd=keeps_cd,
        with_hooks=with_hooks,
        steps=_steps(app, wanted, with_hooks=with_hooks),
        now=now,
    )
    if waiting is not None:
        if waiting.cause.is_explicit and not cause.is_explicit:
            sentence = f"No push takes the place of deployment {waiting.id}, which somebody asked for and which waits."
            made = end_unmoved(tx, made, DeploymentStatus.SUPERSEDED, sentence, now) or made
        else:
            sentence = f"Superseded by deployment {made.id}."
            end_unmoved(tx, waiting, DeploymentStatus.SUPERSEDED, sentence, now)
    begun = deployments.begin_next(tx, app.id, now)
    return begun if begun is not None and begun.id == made.id else made


def deploy_push(tx: Tx, built: Sequence[tuple[int, Sequence[Job]]], sha: str, by: str, now: datetime) -> None:
    """One deployment per app for everything a push built: `built` are build ids, each with the jobs it is for."""
    by_app: dict[int, list[int]] = {}
    for build_id, of_build in built:
        for job in of_build:
            app = apps.of_job(tx, job.id)
            if app is not None and app.held_by is None and job.cd_enabled and not job.paused:
                by_app.setdefault(app.id, []).append(build_id)
    for app_id, build_ids in by_app.items():
        if all(deployments.has_build(tx, app_id, build_id, still_open=True) for build_id in build_ids):
            continue  # the same commit was pushed again while it is being deployed
        begin_deployment(
            tx,
            apps.with_id(tx, app_id),
            cause=Cause.PUSH,
            by=by,
            sentence=f"Push of {short(sha)} by {by}." if by else f"Push of {short(sha)}.",
            now=now,
            build_ids=build_ids,
            sha=sha,
            keeps_cd=True,
        )


def cancel_deployment(tx: Tx, deployment: Deployment, who: str, now: datetime) -> Deployment:
    """Call a deployment off, with the job that runs before the move, which has its grace period to end by itself.

    Asked once more, that job is killed. Raises Conflict once images moved.
    """
    deployments.lock_app(tx, deployment.app_id)
    current = deployments.with_id(tx, deployment.id)
    if current.status.is_final:
        raise Conflict(f"Deployment {current.id} is over already: {current.status}.")
    if current.phase not in (Phase.BUILDING, Phase.PRE_DEPLOY):
        raise Conflict(
            f"Deployment {current.id} can't be cancelled any more: it is in its phase {current.phase}."
        )
    if current.status is DeploymentStatus.PENDING:
        sentence = f"Cancelled by {who} before it began."
        return end_unmoved(tx, current, DeploymentStatus.CANCELLED, sentence, now) or current
    asked = deployments.request_cancel(tx, current, f"Cancelled by {who} before anything moved.", now)
    for step in current.of_kind(StepKind.PRE_DEPLOY):
        run = None if step.run_id is None else runs.with_id(tx, step.run_id)
        if run is not None and not run.status.is_final:
            cancel_run(tx, run, f"{who} with deployment {current.id}", now)
    return asked or current


def end_unmoved(
    tx: Tx, deployment: Deployment, status: DeploymentStatus, sentence: str, now: datetime
) -> Deployment | None:
    """It is over and nothing moved, which is decided for every job that would have got an image.

    Returns the deployment as it is then, or None if somebody else was first.
    """
    ended = deployments.end(tx, deployment, status, sentence, now)
    if ended is None:
        return None
    what = f"{deployment.sentence.removesuffix('.')}: {sentence[0].lower()}{sentence[1:]}"
    for job in affected_jobs(tx, deployment):
        decide(tx, deployment, job, Verdict.SKIPPED, str(status), what, now)
    return ended


def affected_jobs(tx: Tx, deployment: Deployment) -> Sequence[Job]:
    """The app's jobs that get an image by the deployment."""
    named = {image.build_id for image in deployment.images.values()}
    sources = {
        source
        for step in deployment.of_kind(StepKind.BUILD)
        if step.build_id is not None and step.build_id not in named
        for source in builds.sources_of(tx, step.build_id)
    }
    return [
        job
        for job in members_of(tx, deployment)
        if job.id in deployment.images or (job.source is not None and job.source.id in sources)
    ]


def members_of(tx: Tx, deployment: Deployment) -> Sequence[Job]:
    app = apps.with_id(tx, deployment.app_id)
    return [jobs.with_id(tx, member.job_id) for member in app.members]


def decide(
    tx: Tx,
    deployment: Deployment,
    job: Job,
    verdict: Verdict,
    rule: str,
    sentence: str,
    now: datetime,
    *,
    step_id: int | None = None,
    run_id: int | None = None,
) -> None:
    """Store a verdict about a deployment, or one step of it, and a job."""
    about = deployment.id if step_id is None else f"{deployment.id}:{step_id}"
    decisions.record(
        tx,
        at=now,
        event=(EventType.DEPLOYMENT, about),
        project_id=job.project_id,
        job_id=job.id,
        verdict=verdict,
        rule=rule,
        sentence=sentence,
        run_id=run_id,
        deployment_id=deployment.id,
    )


def _steps(app: App, build_ids: Sequence[int], *, with_hooks: bool) -> Sequence[NewStep]:
    """Everything the deployment may do, in the order in which it would."""

    def hooks(kind: StepKind) -> list[NewStep]:
        of_kind = [each for each in app.members if each.hook is not None and HOOK_STEPS[each.hook] is kind]
        return [NewStep(kind, job_id=member.job_id) for member in of_kind if with_hooks]

    return [
        *(NewStep(StepKind.BUILD, build_id=build_id) for build_id in build_ids),
        *hooks(StepKind.PRE_DEPLOY),
        NewStep(StepKind.MOVE),
        *hooks(StepKind.POST_DEPLOY),
        *hooks(StepKind.FAILED_DEPLOY),
    ]


def _still_wanted(tx: Tx, app: App, waiting: Deployment, newer: Sequence[int]) -> list[int]:
    """Builds of a deployment that is about to be replaced which bring some job more than the newer ones do."""
    newest: dict[int, int] = {}
    for build_id in newer:
        position = builds.with_id(tx, build_id).position
        for source_id in builds.sources_of(tx, build_id):
            newest[source_id] = max(position, newest.get(source_id, position))
    of_app = {job.source.id for each in app.members if (job := jobs.with_id(tx, each.job_id)).source}
    kept = []
    for step in waiting.of_kind(StepKind.BUILD):
        assert step.build_id is not None
        position = builds.with_id(tx, step.build_id).position
        sources = of_app.intersection(builds.sources_of(tx, step.build_id))
        if step.build_id not in newer and any(newest.get(each, -1) < position for each in sources):
            kept.append(step.build_id)
    return kept
