"""Images move to jobs, by a build, by hand or by promotion; runs start because of it; every verdict is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from app.commands.runs import build_of_job, enqueue_run
from app.domain.builds import Build
from app.domain.concurrency import Admission, admit
from app.domain.decisions import EventType, Inputs
from app.domain.errors import Conflict
from app.domain.events import BRANCH_PREFIX, repo_key, short
from app.domain.job.records import Deployed, Job
from app.domain.job.spec import JobKind
from app.domain.notifications import What
from app.domain.quotas import QUEUE_IS_FULL
from app.domain.ref_rules import builds_tag
from app.domain.refs import is_proposal, named, tag_of
from app.domain.rollout import Forecast, forecast
from app.domain.rules import ONLY_PROPOSED, ImageEvent, require_unpaused
from app.domain.runs import Reason, Trigger, TriggerType
from app.runtime.ports import Names
from app.store import builds, decisions, jobs, notices, quotas, runs, schedules
from app.store.apps import App
from app.store.database import Tx

TRIGGERS = {
    ImageEvent.BUILD_SUCCEEDED: TriggerType.IMAGE_CHANGE,
    ImageEvent.PROMOTED: TriggerType.PROMOTION,
    ImageEvent.DEPLOYED: TriggerType.DEPLOY,
}


@dataclass(frozen=True)
class Occasion:
    """What may move an image: its kind, the event as decisions name it, and who is behind it."""

    kind: ImageEvent
    event: tuple[EventType, str | int]
    by: str | None = None
    build_id: int | None = None


def deploy_job(
    tx: Tx,
    names: Names,
    job: Job,
    image: Deployed,
    *,
    latest: bool,
    confirm_paused: bool,
    who: str,
    now: datetime,
) -> int:
    """Point a job at an image somebody chose; returns the decision's id. CD goes off, except for the latest build.

    Raises Conflict for a paused job, unless that was agreed to.
    """
    require_unpaused([job], "deploy to", confirmed=confirm_paused)
    occasion = Occasion(ImageEvent.DEPLOYED, (EventType.DEPLOY, f"{job.id}-{names.suffix()}"), who)
    return carry_out(tx, names, occasion, forecast_deploy(tx, job, image, latest=latest, who=who), image, now)


def forecast_deploy(tx: Tx, job: Job, image: Deployed, *, latest: bool, who: str) -> Forecast:
    """What pointing a job at an image does to it."""
    what = f"{_described(image)} deployed by {who}"
    return forecast(job, ImageEvent.DEPLOYED, what, admission=admission_of(tx, job), is_chosen=not latest)


def build_to_deploy(tx: Tx, job: Job, build_id: int | None) -> Build:
    """The chosen build of a job, or its latest one (None). Raises Conflict or InvalidValue where there is none."""
    if job.source is None:
        raise Conflict(f"Job {job.name} is not built by Jobyard, so it has no builds to deploy.")
    if build_id is None:
        build = builds.latest_succeeded(tx, job.source.id, BRANCH_PREFIX + job.source.branch)
        if build is None:
            raise Conflict(f"Job {job.name} has no build of {job.source.branch} that succeeded yet.")
        return build
    return build_of_job(tx, job, build_id)


def carry_out(
    tx: Tx,
    names: Names,
    occasion: Occasion,
    ahead: Forecast,
    image: Deployed | None,
    now: datetime,
    deployment_id: int | None = None,
) -> int:
    """Do what was forecast for a job and store the verdict; returns the decision's id."""
    run_id, job = None, ahead.job
    if ahead.loses_cd:
        jobs.set_cd(tx, job.id, enabled=False, now=now)
    if ahead.moves:
        assert image is not None
        image = replace(image, cause=ahead.cause)
        jobs.deploy(tx, job.id, image)
    if ahead.starts and image is not None:
        run_id = _start(tx, names, occasion, ahead, image, now)
    decision_id = decisions.record(
        tx,
        at=now,
        event=occasion.event,
        project_id=job.project_id,
        job_id=job.id,
        verdict=ahead.verdict,
        rule=ahead.rule,
        sentence=ahead.sentence,
        inputs=_inputs(job),
        build_id=occasion.build_id or (image.build_id if image else None),
        run_id=run_id,
        deployment_id=deployment_id,
    )
    if ahead.moves and deployment_id is None:  # else the deployment tells of it
        notices.note(tx, What.IMAGE_MOVED, job.project_id, decision_id, job.id)
    return decision_id


def _start(tx: Tx, names: Names, occasion: Occasion, ahead: Forecast, image: Deployed, now: datetime) -> int:
    trigger = Trigger(TRIGGERS[occasion.kind], occasion.by, cause=ahead.sentence)
    alone = bool(ahead.replaces)
    run_id = enqueue_run(tx, names, ahead.job, trigger, now, image=image, alone=alone)
    if ahead.replaces:
        name = runs.with_id(tx, run_id).name
        for replaced in ahead.replaces:
            runs.cancel(tx, runs.with_id(tx, replaced), Reason.REPLACED, f"Replaced by {name}.", now)
    return run_id


def admission_of(tx: Tx, job: Job) -> Admission:
    """Whether the project may have one more run queued; and only scheduled jobs have a concurrency policy."""
    why = quotas.why_not_queued(tx, job.project_id)
    if why is not None:
        return Admission(runs=False, why=why, rule=QUEUE_IS_FULL)
    if job.kind is not JobKind.CRON or job.schedule is None:
        return Admission(runs=True)
    return admit(job.schedule.concurrency_policy, schedules.alive(tx, [job.id]).get(job.id, []))


def _inputs(job: Job) -> Inputs:
    return {
        "cd_enabled": job.cd_enabled,
        "run_on_image_change": job.run_on_image_change,
        "paused": job.paused,
        "schedule_active": not job.schedule_inactive,
    }


def image_of(build: Build, job: Job, now: datetime) -> Deployed:
    """What a job gets of a build that succeeded; its cause is told when it moves.

    Its place among the pushes is kept only where it is one on the branch that the job tracks, or a tag beside it.
    """
    assert build.image is not None
    assert build.digest is not None
    has_place = is_tag_of_source(build, job) or (build.on_branch and is_tracked(build, job))
    position = build.position if has_place else None
    return Deployed(build.image, build.digest, build.id, build.sha, "", now, position)


def _described(image: Deployed) -> str:
    if image.build_id is not None:
        return f"Build {image.build_id} of {short(image.sha)}"
    return f"Image {image.reference or image.image} ({image.digest[:19]})"


def is_tag_of_source(build: Build, job: Job) -> bool:
    is_ours = job.source is not None and job.source.repo_key == repo_key(build.url)
    return is_ours and tag_of(build.ref) is not None


def is_tracked(build: Build, job: Job) -> bool:
    """Whether the build is of the repository and branch that the job has now."""
    source = job.source
    if source is None or BRANCH_PREFIX + source.branch != build.ref:
        return False
    return source.repo_key == repo_key(build.url)


def forecast_build(
    tx: Tx, build: Build, job: Job, event: ImageEvent, what: str, app: App | None, *, is_hook: bool = False
) -> Forecast:
    """What continuous delivery does with a build and a job, which may be in an app that is held."""
    passed_over = why_not_followed(build, job)
    if passed_over is None and app is not None and app.held_by is not None:
        passed_over = "rollback_hold", f"app {app.name} is held at rollback {app.held_by} until released"
    return forecast(
        job,
        event,
        what,
        admission=admission_of(tx, job),
        overtaken_by=overtaken_by(build, job),
        passed_over=passed_over,
        is_hook=is_hook,
    )


def why_not_followed(build: Build, job: Job) -> tuple[str, str] | None:
    """The rule by which continuous delivery never takes this build to the job, and why; None where it may."""
    source = job.source
    if source is None or source.repo_key != repo_key(build.url):
        return "other_source", f"job {job.name} is built from another repository by now"
    if is_proposal(build.ref):
        return ONLY_PROPOSED, f"{named(build.ref)} is built for its status alone"
    branch = f"{source.branch}, the branch of job {job.name}"
    if build.ref != BRANCH_PREFIX + source.branch and not builds_tag(source, build.ref):
        return "other_branch", f"it is of {build.branch}, not of {branch}"
    if build.on_branch is False:
        return "other_branch", f"its commit is not on {branch}"
    if build.on_branch is None:
        unknown = f"is on {branch}, and newer than what is deployed"
        return "unknown_commit", f"Git could not say whether its commit {unknown}"
    return None


def _is_built_after(deployed: Deployed, build: Build) -> bool:
    is_other = deployed.sha != build.sha
    return is_other and deployed.build_id is not None and deployed.build_id > build.id > 0


def overtaken_by(build: Build, job: Job) -> str | None:
    """The newer commit of the same repository that is deployed already, if there is one.

    Of a tag, what was built after it is newer; and a tag that was built after a commit of the branch is newer than
    that, unless the branch's own pushes say otherwise.
    """
    now_has = job.deployed
    if now_has is None:
        return None
    if tag_of(build.ref) is not None:
        is_later = _is_built_after(now_has, build)
    else:
        is_later = now_has.position is not None and now_has.position > build.position
        is_later = is_later or (now_has.position == build.position and _is_built_after(now_has, build))
    return short(now_has.sha) if is_later or now_has.sha in build.contained_in else None
