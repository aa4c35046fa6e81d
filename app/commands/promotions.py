"""Promotions: what is deployed at one component goes to its peer in a later stage, by digest, without a build."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from app.commands.deployments import begin_deployment
from app.commands.image_rollout import Occasion, admission_of, carry_out
from app.domain.decisions import EventType
from app.domain.deployments import Cause
from app.domain.errors import Conflict
from app.domain.events import short
from app.domain.job.effective import IMAGE_FIELDS
from app.domain.job.records import Deployed, Job
from app.domain.pipelines import Pipeline, Route, route
from app.domain.rollout import DeploymentForecast, Forecast, forecast, forecast_hook
from app.domain.rules import ImageEvent, require_unpaused
from app.domain.runs import RunStatus
from app.runtime.ports import Names
from app.store import apps, deployments, jobs, pipelines, runs
from app.store.apps import App
from app.store.database import Tx
from app.store.pipelines import Promotion

RUNS_LOOKED_AT = 50  # for what an image's job ran last


@dataclass(frozen=True)
class PromotionPlan:
    """A promotion worked out but not done: the image each target job would get, by its id.

    `paused` names the target jobs that somebody has to agree to.
    """

    route: Route
    images: dict[int, Deployed]
    sentence: str
    paused: tuple[str, ...]


def lock_source(tx: Tx, route: Route) -> None:
    """Until the transaction's end no deployment moves the source's images: what goes on is what one of them left."""
    if route.source.kind == "app":
        deployments.lock_app(tx, route.source.id)


def plan_promotion(tx: Tx, route: Route, *, who: str, confirm_paused: bool) -> PromotionPlan:
    """What the promotion would move. Raises Conflict where nothing was ever deployed, or the target is paused."""
    if route.source.kind == "job":
        pairs = [(jobs.still_there(tx, route.source.id), jobs.still_there(tx, route.target.id))]
    else:
        pairs = _pairs(tx, apps.with_id(tx, route.source.id), apps.with_id(tx, route.target.id))
    paused = [target.name for _, target in pairs if target.paused]
    require_unpaused([target for _, target in pairs], "promote to", confirmed=confirm_paused)
    found = {target.id: image for source, target in pairs if (image := image_to_promote(tx, source))}
    if not found:
        runs_itself = any(job.spec.image is not None for job, _ in pairs)
        ran = ", and no recent run with the image that it names succeeded" if runs_itself else ""
        raise Conflict(f"Nothing is deployed to {route.source.name}{ran}, so there is nothing to promote.")
    what = ", ".join(dict.fromkeys(each.what for each in found.values()))
    sentence = f"{what} promoted from {route.source.name} ({route.from_stage}) to {route.target.name} "
    images = {job_id: each.image for job_id, each in found.items()}
    return PromotionPlan(route, images, f"{sentence}({route.to_stage}) by {who}", tuple(paused))


@dataclass(frozen=True)
class Promotable:
    """An image by its digest, and what it is in words."""

    image: Deployed
    what: str


def image_to_promote(tx: Tx, job: Job) -> Promotable | None:
    """What goes on from a job: what is deployed or, where that is a reference that each run resolves, what ran last.

    None where nothing is. Raises Conflict for a reference that was deployed before digests were kept, unless it ran.
    """
    has = job.deployed
    if has is not None and has.digest:
        return Promotable(has, short(has.sha) if has.sha else has.digest[:19])
    if has is None and job.spec.image is None:
        return None
    latest = runs.page(tx, limit=RUNS_LOOKED_AT, job_id=job.id, statuses=[RunStatus.SUCCEEDED])
    ran = next(
        (run for run in latest if run.digest and not set(IMAGE_FIELDS).intersection(run.overridden)), None
    )
    if ran is not None and (has is None or ran.created_at >= has.at):
        assert ran.image is not None
        assert ran.digest is not None
        image = Deployed(
            ran.image, ran.digest, ran.build_id, ran.sha, "", ran.created_at, reference=ran.reference
        )
        return Promotable(image, f"{ran.digest[:19]}, as run {ran.name} had it,")
    if has is None:
        return None
    raise Conflict(
        f"What job {job.name} has is {has.image}, which may mean another image by now: deploy it once more,"
        " which keeps its digest, or run it."
    )


def promote_component(
    tx: Tx,
    names: Names,
    pipeline: Pipeline,
    source: str,
    *,
    to: str | None,
    to_stage: str | None,
    may_skip_stages: bool,
    confirm_paused: bool,
    who: str,
    now: datetime,
) -> Promotion:
    """Promote what a component has to `to`, or to its peer in `to_stage`, or else in the next stage.

    Raises InvalidValue for what is no way in the pipeline, Conflict as `plan` does.
    """
    way = route(pipeline, source, to=to, to_stage=to_stage, may_skip_stages=may_skip_stages)
    lock_source(tx, way)
    planned = plan_promotion(tx, way, who=who, confirm_paused=confirm_paused)
    return pipelines.promotion(tx, promote(tx, names, pipeline, planned, who=who, now=now))


def promote(
    tx: Tx, names: Names, pipeline: Pipeline, planned: PromotionPlan, *, who: str, now: datetime
) -> int:
    """Do it; returns the promotion's id. An app's components move as one deployment with its hooks.

    The caller has planned it since it has made the source hold still.
    """
    target = planned.route.target
    promotion_id = pipelines.add_promotion(
        tx,
        pipeline_id=pipeline.id,
        source=planned.route.source.name,
        target=target.name,
        images={str(job_id): image.digest for job_id, image in planned.images.items()},
        by=who,
        sentence=f"{planned.sentence}.",
        now=now,
    )
    images = {
        job_id: replace(image, at=now, position=None, cause=planned.sentence)
        for job_id, image in planned.images.items()
    }
    if target.kind == "app":
        app = apps.with_id(tx, target.id)
        sha = next((image.sha for image in images.values() if image.sha), None)
        sentence = f"{planned.sentence}."
        made = begin_deployment(
            tx, app, cause=Cause.PROMOTION, by=who, sentence=sentence, now=now, images=images, sha=sha
        )
        pipelines.promotion_deploys(tx, promotion_id, made.id)
    else:
        _promote_job(tx, names, planned, promotion_id, images[target.id], who, now)
    return promotion_id


def _promote_job(
    tx: Tx, names: Names, planned: PromotionPlan, promotion_id: int, image: Deployed, who: str, now: datetime
) -> None:
    job = jobs.with_id(tx, planned.route.target.id)
    occasion = Occasion(ImageEvent.PROMOTED, (EventType.PROMOTION, promotion_id), who, image.build_id)
    carry_out(tx, names, occasion, _forecast(tx, job, planned.sentence), image, now)


def forecast_promotion(tx: Tx, planned: PromotionPlan) -> DeploymentForecast:
    """What the promotion does to each job that gets an image by it, and to the hooks of its app."""
    target = planned.route.target
    if target.kind == "job":
        return DeploymentForecast((_forecast(tx, jobs.with_id(tx, target.id), planned.sentence),), ())
    members = [(jobs.with_id(tx, each.job_id), each.hook) for each in apps.with_id(tx, target.id).members]
    return DeploymentForecast(
        tuple(
            _forecast(tx, job, planned.sentence, is_hook=hook is not None)
            for job, hook in members
            if job.id in planned.images
        ),
        tuple(
            forecast_hook(job, hook, planned.sentence, gets_image=job.id in planned.images)
            for job, hook in members
            if hook is not None
        ),
    )


def _forecast(tx: Tx, job: Job, what: str, *, is_hook: bool = False) -> Forecast:
    admission = admission_of(tx, job)
    return forecast(job, ImageEvent.PROMOTED, what, admission=admission, is_chosen=True, is_hook=is_hook)


def _pairs(tx: Tx, source: App, target: App) -> list[tuple[Job, Job]]:
    """The jobs of two apps, place by place."""
    if len(source.members) != len(target.members):
        raise Conflict(
            f"App {source.name} has {len(source.members)} jobs and app {target.name} has {len(target.members)}: "
            "their jobs are matched in order, so they must be as many."
        )
    pairs = zip(source.members, target.members, strict=True)
    return [(jobs.with_id(tx, a.job_id), jobs.with_id(tx, b.job_id)) for a, b in pairs]
