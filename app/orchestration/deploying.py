"""What an ended build means for the jobs it was made for: images move, runs start, and every verdict is stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from app.domain.builds import Build, BuildStatus
from app.domain.decisions import EventType
from app.domain.jobs import Deployed, Job
from app.domain.rules import ImageEvent, on_image_change
from app.domain.runs import Trigger, TriggerType
from app.orchestration.dispatch import enqueue_run, short
from app.orchestration.ports import Names
from app.store import builds, decisions, jobs
from app.store.database import Tx


def after_build(tx: Tx, names: Names, build: Build, now: datetime) -> None:
    """Decide for every job of the build's sources, in the transaction that ends the build."""
    for job in _jobs_of(tx, build):
        _decide(tx, names, build, job, now)


def _jobs_of(tx: Tx, build: Build) -> Iterator[Job]:
    for source_id in builds.sources_of(tx, build.id):
        yield from jobs.of_source(tx, source_id)


def _decide(tx: Tx, names: Names, build: Build, job: Job, now: datetime) -> None:
    succeeded = build.status is BuildStatus.SUCCEEDED
    event = ImageEvent.BUILD_SUCCEEDED if succeeded else ImageEvent.BUILD_FAILED
    what = f"Build {build.id} of {short(build.sha)} {build.status}"
    change = on_image_change(event, job, what=what, overtaken_by=overtaken_by(build, job))
    run_id = None
    if change.moves:
        image = deployed_of(build, change.sentence, now)
        jobs.deploy(tx, job.id, image)
        if change.runs:
            trigger = Trigger(TriggerType.IMAGE_CHANGE, cause=change.sentence)
            run_id = enqueue_run(tx, names, job, trigger, now, image=image)
    decisions.record(
        tx,
        at=now,
        event=(EventType.BUILD, build.id),
        project_id=job.project_id,
        job_id=job.id,
        verdict=change.verdict,
        rule=change.rule,
        sentence=change.sentence,
        inputs={
            "cd_enabled": job.cd_enabled,
            "run_on_image_change": job.run_on_image_change,
            "paused": job.paused,
            "schedule_active": not job.schedule_inactive,
        },
        build_id=build.id,
        run_id=run_id,
    )


def deployed_of(build: Build, cause: str, now: datetime) -> Deployed:
    assert build.image is not None
    assert build.digest is not None
    return Deployed(build.image, build.digest, build.id, build.sha, cause, now, build.position)


def overtaken_by(build: Build, job: Job) -> str | None:
    """The newer commit of the same branch that is deployed already, if there is one."""
    tracked = job.source
    if tracked is None or f"refs/heads/{tracked.branch}" != build.ref or tracked.url != build.url:
        return f"of {tracked.branch if tracked else 'another source'} (the source was changed since)"
    now_has = job.deployed
    if now_has is None or now_has.position is None or now_has.position <= build.position:
        return None
    return short(now_has.sha)
