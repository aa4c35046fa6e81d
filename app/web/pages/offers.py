"""What a promotion would do, in one sentence, before anybody asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.commands.image_rollout import admission_of, turns_cd_off
from app.commands.promotions import Planned, plan
from app.domain.errors import UserError
from app.domain.jobs import Job
from app.domain.pipelines import Component, Pipeline, route
from app.domain.rules import ImageEvent, on_image_change
from app.store import apps, deployments, jobs
from app.store.apps import App
from app.store.database import Tx
from app.web.pages import words


@dataclass(frozen=True)
class Offer:
    """`sentence` says what happens; `paused` names the jobs that the reader has to agree to."""

    planned: Planned
    sentence: str
    paused: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """Why there is nothing to promote here now."""

    sentence: str


def offer(tx: Tx, pipeline: Pipeline, component: str, who: str) -> Offer | Refusal:
    """A component's promotion to its peer in the next stage."""
    try:
        way = route(pipeline, component, to=None, to_stage=None, may_skip_stages=False)
        planned = plan(tx, way, who=who, confirm_paused=True)
    except UserError as error:
        return Refusal(str(error))
    targets = [jobs.with_id(tx, job_id) for job_id in _targets(tx, way.target)]
    what = ", ".join(dict.fromkeys(words.short(each.sha or each.digest) for each in planned.images.values()))
    if way.target.kind == "app":
        said = _of_app(tx, apps.with_id(tx, way.target.id), targets, planned)
    else:
        said = _of_job(tx, targets[0])
    return Offer(
        planned,
        f"Promote {what} to {way.to_stage}: {'; '.join([*said, *_cd(targets, planned)])}.",
        tuple(job.name for job in targets if job.paused),
    )


def _targets(tx: Tx, target: Component) -> Sequence[int]:
    if target.kind == "job":
        return [target.id]
    return [member.job_id for member in apps.with_id(tx, target.id).members]


def _of_job(tx: Tx, job: Job) -> list[str]:
    change, admission = on_image_change(ImageEvent.PROMOTED, job, what=""), admission_of(tx, job)
    if change.runs and admission.replaces:
        return [f"{job.name} will run and {admission.why}"]
    if change.runs and not admission.runs:
        return [f"{job.name} gets the image and nothing runs, since {admission.why}"]
    if change.runs:
        return [f"{job.name} will run"]
    if change.rule == "paused":
        return [f"{job.name} is paused, so it gets the image and nothing runs"]
    if change.rule == "inactive":
        return [f"the schedule of {job.name} is inactive, so it gets the image and nothing runs"]
    return [f"{job.name} gets the image and nothing runs"]


def _of_app(tx: Tx, app: App, targets: Sequence[Job], planned: Planned) -> list[str]:
    """Its hooks in their order, and the jobs that run because their image moves."""
    going = deployments.unfinished_of(tx, app.id)
    said = [f"{app.name} waits for deployment {going[0]}" if going else f"{app.name} deploys as one"]
    quiet = {job.id for job in targets if job.paused}
    for hook, when in (("pre-deploy", "before the images move"), ("post-deploy", "after it")):
        names = [each.job for each in app.members if each.hook == hook and each.job_id not in quiet]
        said += [f"{', '.join(names)} will run {when}"] if names else []
    hooks = {each.job_id for each in app.members if each.hook is not None}
    moved = [job for job in targets if job.id in planned.images and job.id not in hooks]
    starting = [job.name for job in moved if _runs(tx, job)]
    return [*said, f"{', '.join(starting)} will run"] if starting else said


def _runs(tx: Tx, job: Job) -> bool:
    return on_image_change(ImageEvent.PROMOTED, job, what="").runs and admission_of(tx, job).runs


def _cd(targets: Sequence[Job], planned: Planned) -> list[str]:
    losing = [job.name for job in targets if job.id in planned.images and turns_cd_off(job, latest=False)]
    return [f"CD of {', '.join(losing)} is turned off"] if losing else []
