"""What people and programs ask for by hand: builds, runs with an image of their own, runs once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from app.domain.builds import Build, BuildStatus
from app.domain.decisions import EventType, Verdict
from app.domain.effective import Effective, merge
from app.domain.errors import Conflict, InvalidValue
from app.domain.events import BRANCH_PREFIX
from app.domain.jobs import Deployed, Job, Source
from app.domain.runs import Run, Trigger, TriggerType
from app.orchestration.building import build_env, key_of_build
from app.orchestration.dispatch import enqueue_run, require_image, short
from app.orchestration.ports import Names, Vault
from app.store import builds, decisions, jobs, movements
from app.store.database import Tx


def build_by_hand(
    tx: Tx,
    job: Job,
    *,
    sha: str | None,
    branch: str | None,
    who: str,
    now: datetime,
    vault: Vault | None = None,
) -> int:
    """A build that ignores all rules for pushes; without `sha`, of the branch's head when it starts.

    With a `vault` pushes of the commit `sha` may join it; a build of a branch's head is joined by none.
    Raises Conflict for a job that nothing is built for.
    """
    if job.source is None:
        raise Conflict(f"Job {job.name} has no Git source, so there is nothing to build.")
    return build_source_by_hand(tx, job.source, [job], sha=sha, branch=branch, who=who, now=now, vault=vault)


def build_source_by_hand(
    tx: Tx,
    source: Source,
    told: Sequence[Job],
    *,
    sha: str | None,
    branch: str | None,
    who: str,
    now: datetime,
    vault: Vault | None = None,
) -> int:
    """`build_by_hand`, with a decision for each of the jobs that are `told`, or for none."""
    ref = BRANCH_PREFIX + (branch or source.branch)
    env = build_env(source, jobs.of_source(tx, source.id))
    build_id = builds.enqueue(
        tx,
        project_id=source.project_id,
        source_id=source.id,
        key=key_of_build(vault, source, ref, sha, env) if vault and sha else "",
        url=source.url,
        ref=ref,
        sha=sha,
        config=source.build,
        trigger={"type": "manual", "by": who},
        now=now,
        env=env,
        credential_id=source.credential_id,
        position=_position(tx, source, ref, sha),
        on_branch=True if sha is None else None,
    )
    what = short(sha) if sha else f"the head of {branch or source.branch}"
    job_ids: list[int | None] = [job.id for job in told]
    for job_id in job_ids or [None]:
        decisions.record(
            tx,
            at=now,
            event=(EventType.MANUAL, f"build:{build_id}"),
            project_id=source.project_id,
            job_id=job_id,
            verdict=Verdict.BUILT,
            rule="manual",
            sentence=f"Build {build_id} of {what} asked for by {who}.",
            inputs={"sha": sha, "ref": ref},
            build_id=build_id,
        )
    return build_id


def _position(tx: Tx, source: Source, ref: str, sha: str | None) -> int:
    """Where the commit stands among the branch's pushes; one that no push told of counts as the newest."""
    history = movements.known(tx, source.project_id, source.repo_key, ref)
    known = next((each.position for each in history if sha is not None and each.after == sha), None)
    return known if known is not None else max((each.position for each in history), default=0)


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
    source_id = job.source.id if job.source is not None else None
    if sha is not None:
        build = builds.newest_of_commit(tx, source_id, sha) if source_id is not None else None
        if build is None:
            raise InvalidValue("sha", f"sha must be a commit that was built for job {job.name}, not {sha}.")
    else:
        assert build_id is not None
        build = _build_for(tx, build_id, source_id, job)
    if build.image is None or build.digest is None:
        raise InvalidValue("build", f"build must be one that succeeded; build {build.id} is {build.status}.")
    return Deployed(build.image, build.digest, build.id, build.sha, "asked for with this run", now)


def _build_for(tx: Tx, build_id: int, source_id: int | None, job: Job) -> Build:
    if source_id is None or source_id not in builds.sources_of(tx, build_id):
        raise InvalidValue(
            "build", f"build must be one made for job {job.name}, which build {build_id} is not."
        )
    build = builds.with_id(tx, build_id)
    if build.status is not BuildStatus.SUCCEEDED:
        raise InvalidValue("build", f"build must be one that succeeded; build {build_id} is {build.status}.")
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
    """A run like another: with the same image and configuration, or with what its job has now."""
    job = jobs.still_there(tx, run.job_id)
    require_unpaused(job, confirmed=confirm_paused)
    same = config == "same"
    image = _image_of(run, now) if same else None
    if image is None:
        require_image(tx, job)
    effective = (
        Effective(run.effective, dict.fromkeys(run.overridden, "override"))
        if same
        else merge(job.definition, {}, job.shared_env)
    )
    how = "by the API" if trigger.type is TriggerType.API else "by hand"
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
    return run_id


def _image_of(run: Run, now: datetime) -> Deployed | None:
    if run.image is None:
        return None
    cause = f"as run {run.name}"
    return Deployed(run.image, run.digest or "", run.build_id, run.sha, cause, now, reference=run.reference)


def require_unpaused(job: Job, *, confirmed: bool) -> None:
    if job.paused and not confirmed:
        raise Conflict(f"Job {job.name} is paused: confirm with confirm_paused to run it all the same.")


def image_of_next_run(job: Job) -> Mapping[str, Any]:
    """What a run started now would execute, for a preview."""
    if job.deployed is not None:
        deployed = job.deployed
        return {"image": deployed.image, "build": deployed.build_id, "sha": deployed.sha}
    return {"image": job.definition["source"].get("image"), "build": None, "sha": None}
