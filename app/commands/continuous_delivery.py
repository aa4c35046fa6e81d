"""What an ended build means for the jobs it was made for: continuous delivery, to single jobs and to apps."""

from __future__ import annotations

from datetime import datetime

from app.commands.deployments import begin_deployment
from app.commands.image_rollout import (
    Occasion,
    carry_out,
    forecast_build,
    image_of,
    overtaken_by,
    why_not_followed,
)
from app.commands.rebuilds import end_of_rebuild
from app.domain.builds import Build, BuildReason, BuildStatus
from app.domain.decisions import EventType
from app.domain.deployments import Cause
from app.domain.events import short
from app.domain.job.records import Job, Source
from app.domain.rules import ImageEvent
from app.runtime.ports import Names
from app.store import apps, builds, deployments, jobs, rebuilds
from app.store.apps import App
from app.store.database import Tx


def after_build(tx: Tx, names: Names, build: Build, now: datetime) -> None:
    """Decide for every job of the build's sources, in the transaction that ends the build.

    A job of an app is left to the app's deployment; where none waits for this build, one begins. Of a build that only
    made an image again, see `rebuilds`.
    """
    rebuilds.release(tx, build.id, now)
    if build.rebuild_of is not None:
        end_of_rebuild(tx, build, now)
        return
    succeeded = build.status is BuildStatus.SUCCEEDED
    event = ImageEvent.BUILD_SUCCEEDED if succeeded else ImageEvent.BUILD_FAILED
    what = f"Build {build.id} of {short(build.sha)} {build.status}"
    occasion = Occasion(event, (EventType.BUILD, build.id), build_id=build.id)
    for source_id in builds.sources_of(tx, build.id):
        for job in jobs.of_source(tx, source_id):
            app = apps.of_job(tx, job.id)
            if app is None or not _is_for_app(tx, app, job, build, now):
                image = image_of(build, job, now) if succeeded else None
                ahead = forecast_build(tx, build, job, event, what, app)
                carry_out(tx, names, occasion, ahead, image, now)


def cancel_build(
    tx: Tx, names: Names, build: Build, reason: BuildReason, sentence: str, now: datetime
) -> Build | None:
    """Ask for a build's end, as `store.builds.cancel` does; a queued one is over, and decided about, at once."""
    asked = builds.cancel(tx, build, reason, sentence, now)
    if asked is not None and asked.status is BuildStatus.CANCELLED:
        after_build(tx, names, asked, now)
    return asked


def end_cancelled_build(tx: Tx, names: Names, build: Build, now: datetime) -> None:
    """The worker of a build whose end was asked for has stopped."""
    ended = builds.end_cancelled(tx, build, now)
    if ended is not None:
        after_build(tx, names, ended, now)


def _is_for_app(tx: Tx, app: App, job: Job, build: Build, now: datetime) -> bool:
    """Whether a deployment of the app decides about this build and job; it begins here if need be."""
    if deployments.has_build(tx, app.id, build.id):
        return True
    delivers = job.cd_enabled and not job.paused and app.held_by is None
    passes = why_not_followed(build, job) is None and overtaken_by(build, job) is None
    if build.status is not BuildStatus.SUCCEEDED or not (delivers and passes):
        return False
    sentence = f"Build {build.id} of {short(build.sha)}."
    begin_deployment(
        tx,
        app,
        cause=Cause.PUSH,
        by=build.trigger.by or "",
        sentence=sentence,
        now=now,
        build_ids=[build.id],
        sha=build.sha,
        keeps_cd=True,
    )
    return True


def cancel_superseded(tx: Tx, names: Names, source: Source, newer: Build, now: datetime) -> None:
    """A newer push makes queued builds of older ones pointless, as far as no other source waits for them."""
    sentence = f"Superseded by build {newer.id} of a newer push."
    unwanted = builds.no_longer_wanted(tx, source.id, newer.ref, newer.position)
    for build in builds.with_ids(tx, unwanted).values() if unwanted else ():
        cancel_build(tx, names, build, BuildReason.SUPERSEDED, sentence, now)
