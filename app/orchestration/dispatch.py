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
from app.domain.jobs import Deployed, Job
from app.domain.runs import Trigger, TriggerType
from app.orchestration.ports import Names
from app.store import decisions, runs
from app.store.database import Tx


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
    """A run that somebody asked for, with its decision. Raises Conflict where there is nothing to run."""
    if image is None:
        require_image(job)
    if job.paused and not overrides.get("confirm_paused"):
        raise Conflict(f"Job {job.name} is paused: confirm with confirm_paused to run it all the same.")
    who = trigger.by or "somebody"
    how = {TriggerType.API: "by the API by", TriggerType.FLOW: "by"}.get(trigger.type, "by hand by")
    effective = merge(job.definition, overrides, job.shared_env)
    changed = f" with {', '.join(effective.overridden)} changed" if effective.overridden else ""
    sentence = f"Started {how} {who}{changed}."
    trigger = replace(trigger, cause=sentence)
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


def require_image(job: Job) -> None:
    if job.deployed is not None or job.definition["source"]["type"] == "image":
        return
    hint = (
        "its source is none: give it one"
        if job.definition["source"]["type"] == "none"
        else "build it first, by a push or by hand"
    )
    raise Conflict(f"Job {job.name} has no image to run: {hint}.")


def short(sha: str | None) -> str:
    return sha[:7] if sha and re.fullmatch(r"[0-9a-f]{40,64}", sha) else (sha or "an unknown commit")
