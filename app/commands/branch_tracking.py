"""Continuous delivery goes on after a switch, a resume or a released hold, with the latest build of the branch."""

from __future__ import annotations

from datetime import datetime

from app.commands.image_rollout import Occasion, carry_out, image_of, overtaken_by, why_not_followed
from app.domain.builds import Build
from app.domain.decisions import EventType
from app.domain.events import BRANCH_PREFIX, short
from app.domain.job.records import Job
from app.domain.rollout import of_change
from app.domain.rules import ImageChange, ImageEvent
from app.runtime.ports import Names
from app.store import apps, builds, jobs
from app.store.database import Tx

RULE = "cd_on"


def follow_branch(tx: Tx, names: Names, job: Job, *, why: str, who: str, now: datetime) -> Job:
    """The job with the latest available build deployed, if CD is on and it is newer; nothing runs because of it.

    What came of it is a decision; `why` begins its sentence ("Resumed by ada").
    """
    build = _latest(tx, job)
    change = change_by_following(tx, job, why=why)
    if change is None:
        return job
    event = (EventType.DEPLOY, f"{RULE}:{job.id}-{names.suffix()}")
    image = None if build is None else image_of(build, job, now)
    occasion = Occasion(ImageEvent.DEPLOYED, event, who, None if build is None else build.id)
    carry_out(tx, names, occasion, of_change(job, change), image, now)
    return jobs.with_id(tx, job.id)


def change_by_following(tx: Tx, job: Job, *, why: str) -> ImageChange | None:
    """What following its branch again does to a job; None for a job that doesn't."""
    if job.source is None or job.paused or not job.cd_enabled:
        return None
    app, build = apps.of_job(tx, job.id), _latest(tx, job)
    branch = job.source.branch
    if app is not None and app.held_by is not None:
        held = f"app {app.name} is held at rollback {app.held_by} until released"
        return _stays("rollback_hold", f"{why}: {held}, so nothing is deployed.")
    if build is None:
        return _stays(RULE, f"{why}: no build of {branch} has succeeded yet, so nothing is deployed.")
    what = f"{why}: build {build.id} of {short(build.sha)}, the latest of {branch},"
    if job.deployed is not None and job.deployed.build_id == build.id:
        return _stays(RULE, f"{what} is deployed already.")
    newer, passed_over = overtaken_by(build, job), why_not_followed(build, job)
    if newer is not None:
        return _stays("older_build", f"{what} is not deployed, since the newer commit {newer} is already.")
    if passed_over is not None:
        return _stays(passed_over[0], f"{what} is not deployed, since {passed_over[1]}.")
    sentence = f"{what} is deployed, and nothing runs because of it."
    return ImageChange(moves=True, runs=False, rule=RULE, sentence=sentence)


def _latest(tx: Tx, job: Job) -> Build | None:
    if job.source is None:
        return None
    return builds.latest_succeeded(tx, job.source.id, BRANCH_PREFIX + job.source.branch)


def _stays(rule: str, sentence: str) -> ImageChange:
    return ImageChange(moves=False, runs=False, rule=rule, sentence=sentence)
