"""The one door through which runs are made, whatever started them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from app.domain.builds import Build, BuildStatus
from app.domain.decisions import EventType, Verdict
from app.domain.errors import Busy, Conflict, InvalidValue
from app.domain.events import BRANCH_PREFIX, short
from app.domain.job.effective import Effective, Overrides, effective_of
from app.domain.job.records import Deployed, Job
from app.domain.job.spec import RunSpec
from app.domain.quotas import too_big
from app.domain.refs import is_proposal, named
from app.domain.rules import require_unpaused
from app.domain.runs import Cancel, Reason, Run, Trigger, TriggerType
from app.runtime.ports import Names
from app.store import builds, commit_statuses, decisions, jobs, projects, quotas, runs
from app.store.database import Tx, quotas_of


def enqueue_run(
    tx: Tx,
    names: Names,
    job: Job,
    trigger: Trigger,
    now: datetime,
    *,
    effective: Effective | None = None,
    image: Deployed | None = None,
    alone: bool = False,
) -> int:
    """A queued run of a job. Without `image` it takes what the job has deployed when it starts.

    `alone` keeps it waiting while older runs of the job are alive.
    """
    made_with = effective or effective_of(job)
    return runs.enqueue(
        tx,
        name=f"{job.name}-{names.suffix()}",
        project_id=job.project_id,
        job_id=job.id,
        trigger=trigger,
        spec=made_with.spec,
        overridden=made_with.overridden,
        now=now,
        alone=alone,
        image=image.image if image else None,
        digest=(image.digest or None) if image else None,  # a reference has none before the run starts
        reference=image.reference if image else None,
        build_id=image.build_id if image else None,
        sha=image.sha if image else None,
    )


def start_run(
    tx: Tx,
    names: Names,
    job: Job,
    overrides: Overrides,
    trigger: Trigger,
    now: datetime,
    image: Deployed | None = None,
) -> int:
    """A run that somebody asked for, with its decision. Raises Conflict where there is nothing to run.

    Raises Busy where the project has as many runs queued as it may, unless a flow waits for this one; InvalidValue
    for a size that the project may not use.
    `image` is what the overrides' image, build or sha mean.
    """
    if image is None:
        require_image(tx, job)
    require_unpaused([job], "run", confirmed=bool(overrides.confirm_paused))
    if not trigger.type.is_awaited:
        require_room_in_queue(tx, job)
    who = trigger.by or "somebody"
    how = {TriggerType.API: "by the API by", TriggerType.FLOW: "by"}.get(trigger.type, "manually by")
    effective = effective_of(job, overrides)
    require_size(tx, job.project_id, job.project, effective.spec)
    changed = f" with {', '.join(effective.overridden)} changed" if effective.overridden else ""
    sentence = f"Started {how} {who}{_on(image)}{changed}."
    trigger = replace(trigger, cause=sentence)
    own = dict.fromkeys(overrides.image_fields, "override")
    effective = replace(effective, origins={**own, **effective.origins})
    run_id = enqueue_run(tx, names, job, trigger, now, effective=effective, image=image)
    decisions.record(
        tx,
        at=now,
        event=(EventType.MANUAL, run_id),
        project_id=job.project_id,
        job_id=job.id,
        verdict=Verdict.STARTED,
        rule=str(trigger.type),
        sentence=sentence,
        inputs={"overridden": list(effective.overridden)},
        run_id=run_id,
    )
    return run_id


def _on(image: Deployed | None) -> str:
    """What a run executes instead of what is deployed, in words."""
    if image is None:
        return ""
    of_build = f"build {image.build_id} of {short(image.sha)}"
    return f" on {of_build if image.build_id else f'image {image.image}'}"


def require_room_in_queue(tx: Tx, job: Job) -> None:
    """Raises Busy where the job's project has as many runs queued as it may."""
    why = quotas.why_not_queued(tx, job.project_id)
    if why is not None:
        raise Busy(f"Job {job.name} is not started: {why}, or try again when some have begun.")


def require_size(tx: Tx, project_id: int, project: str, spec: RunSpec) -> None:
    """Raises InvalidValue for runs that need more than their project may use in all: they would wait for ever."""
    limits, size = (
        quotas.limits_of(tx, [project_id])[project_id],
        quotas_of(tx).size(spec.plan, spec.instances),
    )
    why = too_big(limits, size, project, spec.plan, spec.instances)
    if why is not None:
        raise InvalidValue("plan", f"{why[0].upper()}{why[1:]}.")


def held_to(tx: Tx, job: Job, effective: Effective) -> Effective:
    """What a run is started with, where its project holds all of them to more than its job says."""
    spec = effective.spec
    both = spec.hardening.with_at_least(projects.hardening_of(tx, job.project_id))
    of_project = dict.fromkeys(set(both.asked) - set(spec.hardening.asked), "project")
    return replace(
        effective,
        spec=replace(spec, non_root=both.non_root, read_only=both.read_only, network=both.network),
        origins={**effective.origins, **of_project},
    )


def require_image(tx: Tx, job: Job) -> None:
    if not job.has_image:
        raise Conflict(f"Job {job.name} has no image to run: {how_to_get_an_image(tx, job)}.")


def how_to_get_an_image(tx: Tx, job: Job) -> str:
    """What somebody has to do for a job that nothing is deployed to."""
    source = job.source
    if source is None:
        return "its source is none: give it one"
    ref = BRANCH_PREFIX + source.branch
    build = builds.latest_succeeded(tx, source.id, ref)
    if build is not None:
        return f"build {build.id} of {short(build.sha)} is available, so deploy it first"
    and_deploy = "" if job.cd_enabled and not job.paused else ", and deploy it"
    underway = builds.page(tx, limit=1, source_id=source.id, statuses=builds.OPEN, ref=ref)
    if underway:
        return f"build {underway[0].id} is not over yet: wait for it{and_deploy}"
    return f"build it first, {'by a push or manually' if job.builds_pushes else 'manually'}{and_deploy}"


def cancel_run(tx: Tx, run: Run, who: str, now: datetime) -> None:
    """Ask for a run's end; asked once more, it is killed at once. Each that changes something is a decision.

    Raises Conflict if it is over.
    """
    if run.status.is_final:
        raise Conflict(f"Run {run.name} is over already: {run.status}.")
    sentence = f"Cancelled by {who}."
    if run.cancel_requested_at is not None:
        sentence = f"{run.cancel_sentence} Forced by {who}."
    asked = runs.cancel(tx, run, Reason.CANCELLED, sentence, now)
    if asked is None:
        return
    rule = "cancel_forced" if asked.cancel is Cancel.FORCED else "cancel"
    decisions.record(
        tx,
        at=now,
        event=(EventType.MANUAL, f"{rule}:{run.id}"),
        project_id=run.project_id,
        job_id=run.job_id,
        verdict=Verdict.CANCELLED,
        rule=rule,
        sentence=_of_cancel(run, asked.cancel, who),
        inputs={"run": run.name, "by": who, "status": run.status},
        run_id=run.id,
    )


def _of_cancel(run: Run, asked: Cancel | None, who: str) -> str:
    match asked:
        case Cancel.FORCED:
            return f"Run {run.name} cancelled once more by {who}: it is killed at once."
        case Cancel.ASKED:
            grace = f"it has at most {run.spec.grace_period_seconds} s to end by itself"
            return f"Run {run.name} cancelled by {who}: {grace}."
        case _:
            when = "between its attempts" if run.attempts else "before it started"
            return f"Run {run.name} cancelled by {who} {when}."


def image_for_run(
    tx: Tx, job: Job, *, image: str | None, build_id: int | None, sha: str | None, now: datetime
) -> Deployed | None:
    """What a single run executes instead of what is deployed; None if nothing of its own is asked for.

    An image reference has no digest yet: it is resolved when the run starts.
    """
    if image is not None:
        return Deployed(image, "", None, None, "asked for with this run", now, reference=image)
    if build_id is None and sha is None:
        return None
    if sha is None:
        assert build_id is not None
        build = build_of_job(tx, job, build_id)
    else:
        found = builds.newest_of_commit(tx, job.source.id, sha) if job.source is not None else None
        if found is None:
            raise InvalidValue("sha", f"sha must be a commit that was built for job {job.name}, not {sha}.")
        build = found
    assert build.image is not None
    assert build.digest is not None
    return Deployed(build.image, build.digest, build.id, build.sha, "asked for with this run", now)


def build_of_job(tx: Tx, job: Job, build_id: int) -> Build:
    """A build that was made for a job and has an image. Raises InvalidValue for any other."""
    if job.source is None or job.source.id not in builds.sources_of(tx, build_id):
        raise InvalidValue(
            "build", f"build must be one made for job {job.name}, which build {build_id} is not."
        )
    build = builds.with_id(tx, build_id)
    if build.status is not BuildStatus.SUCCEEDED:
        raise InvalidValue("build", f"build must be one that succeeded; build {build_id} is {build.status}.")
    if is_proposal(build.ref):
        only = f"build {build_id} is of {named(build.ref)}, which is built for its status alone"
        raise InvalidValue("build", f"build must be one of a branch or a tag; {only}.")
    return build


def run_again(
    tx: Tx,
    names: Names,
    run: Run,
    config: Literal["same", "current"],
    trigger: Trigger,
    now: datetime,
    *,
    confirm_paused: bool,
) -> int:
    """A run like another: with the same image and configuration, or with what its job has now.

    Raises what `start_run` raises.
    """
    job = jobs.still_there(tx, run.job_id)
    require_unpaused([job], "run", confirmed=confirm_paused)
    require_room_in_queue(tx, job)
    same = config == "same"
    image = _image_of(run, now) if same else None
    if image is None:
        require_image(tx, job)
    effective = Effective(run.spec, dict.fromkeys(run.overridden, "override")) if same else effective_of(job)
    require_size(tx, job.project_id, job.project, effective.spec)
    how = "by the API" if trigger.type is TriggerType.API else "manually"
    if not same:
        what = "what the job has now"
    elif image is None:
        what = "the same configuration and, as that run never had an image, what is deployed when it starts"
    else:
        what = "the same image and configuration"
    sentence = f"Run {run.name} started again {how} by {trigger.by or 'somebody'}, with {what}."
    run_id = enqueue_run(
        tx, names, job, replace(trigger, cause=sentence), now, effective=effective, image=image
    )
    decisions.record(
        tx,
        at=now,
        event=(EventType.MANUAL, run_id),
        project_id=job.project_id,
        job_id=job.id,
        verdict=Verdict.STARTED,
        rule="run_again",
        sentence=sentence,
        inputs={"run": run.name, "config": config},
        run_id=run_id,
    )
    if same or _is_of_commit(job.deployed, run):
        commit_statuses.follow_rerun(tx, run.id, run_id, now)
    return run_id


def _is_of_commit(deployed: Deployed | None, run: Run) -> bool:
    """Whether a run of what is deployed says something about the commit that a run was of."""
    return deployed is not None and deployed.sha is not None and deployed.sha == run.sha


def _image_of(run: Run, now: datetime) -> Deployed | None:
    if run.image is None:
        return None
    cause = f"as run {run.name}"
    return Deployed(run.image, run.digest or "", run.build_id, run.sha, cause, now, reference=run.reference)


@dataclass(frozen=True)
class NextImage:
    """What a run started now would execute."""

    image: str | None
    build_id: int | None = None
    sha: str | None = None


def image_of_next_run(job: Job) -> NextImage:
    """What a run started now would execute, for a preview."""
    if job.deployed is not None:
        return NextImage(job.deployed.image, job.deployed.build_id, job.deployed.sha)
    return NextImage(job.spec.image)
