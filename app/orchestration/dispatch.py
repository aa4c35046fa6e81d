"""The one door through which runs are made, whatever started them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.domain.decisions import EventType, Verdict
from app.domain.effective import Effective, merge
from app.domain.errors import Conflict
from app.domain.events import BRANCH_PREFIX
from app.domain.jobs import Deployed, Job
from app.domain.runs import Trigger, TriggerType
from app.orchestration.ports import Names
from app.store import builds, decisions, runs
from app.store.database import Tx

IMAGE_FIELDS = ("image", "build", "sha")  # overrides that say what a run executes


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
    merged = effective or merge(job.definition, {}, job.shared_env)
    return runs.enqueue(
        tx,
        name=f"{job.name}-{names.suffix()}",
        project_id=job.project_id,
        job_id=job.id,
        trigger=trigger,
        effective=merged.values,
        overridden=merged.overridden,
        now=now,
        alone=alone,
        image=image.image if image else None,
        digest=(image.digest or None) if image else None,  # a reference has none before the run starts
        reference=image.reference if image else None,
        build_id=image.build_id if image else None,
        sha=image.sha if image else None,
    )


def start_by_hand(
    tx: Tx,
    names: Names,
    job: Job,
    overrides: Mapping[str, Any],
    trigger: Trigger,
    now: datetime,
    image: Deployed | None = None,
) -> int:
    """A run that somebody asked for, with its decision. Raises Conflict where there is nothing to run.

    `image` is what the overrides' image, build or sha mean.
    """
    if image is None:
        require_image(tx, job)
    if job.paused and not overrides.get("confirm_paused"):
        raise Conflict(f"Job {job.name} is paused: confirm with confirm_paused to run it all the same.")
    who = trigger.by or "somebody"
    how = {TriggerType.API: "by the API by", TriggerType.FLOW: "by"}.get(trigger.type, "by hand by")
    effective = merge(job.definition, overrides, job.shared_env)
    changed = f" with {', '.join(effective.overridden)} changed" if effective.overridden else ""
    sentence = f"Started {how} {who}{_on(image)}{changed}."
    trigger = replace(trigger, cause=sentence)
    own = {name: "override" for name in IMAGE_FIELDS if overrides.get(name) is not None}
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


def require_image(tx: Tx, job: Job) -> None:
    if job.deployed is None and job.definition["source"]["type"] != "image":
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
    return f"build it first, {'by a push or by hand' if job.builds_pushes else 'by hand'}{and_deploy}"


def short(sha: str | None) -> str:
    return sha[:7] if sha and re.fullmatch(r"[0-9a-f]{40,64}", sha) else (sha or "an unknown commit")
