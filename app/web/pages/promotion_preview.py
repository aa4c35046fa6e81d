"""What a promotion would do, in one sentence, before anybody asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from app.commands.promotions import PromotionPlan, forecast_promotion, plan_promotion
from app.domain.errors import UserError
from app.domain.pipelines import Component, Pipeline, route
from app.domain.rollout import DeploymentForecast, Forecast
from app.store import deployments, jobs
from app.store.database import Tx
from app.web.pages import formatting


@dataclass(frozen=True)
class Offer:
    """`sentence` says what happens; `paused` names the jobs that the reader has to agree to.

    `again` says that nothing would move, as all that it leads to is there already; "" where something would.
    """

    planned: PromotionPlan
    sentence: str
    paused: tuple[str, ...]
    again: str


@dataclass(frozen=True)
class Refusal:
    """Why there is nothing to promote here now."""

    sentence: str


def offer(
    tx: Tx,
    pipeline: Pipeline,
    component: str,
    who: str,
    *,
    to_stage: str | None = None,
    may_skip_stages: bool = False,
) -> Offer | Refusal:
    """A component's promotion to its peer in a stage, or (None) in the next."""
    try:
        way = route(pipeline, component, to=None, to_stage=to_stage, may_skip_stages=may_skip_stages)
        planned = plan_promotion(tx, way, who=who, confirm_paused=True)
    except UserError as error:
        return Refusal(str(error))
    ahead = forecast_promotion(tx, planned)
    what = ", ".join(
        dict.fromkeys(formatting.short(each.sha or each.digest) for each in planned.images.values())
    )
    said = _of_app(tx, way.target, ahead) if way.target.kind == "app" else [_of_job(ahead.moves[0])]
    losing = [each.job.name for each in ahead.moves if each.loses_cd]
    if losing:
        said.append(f"CD of {', '.join(losing)} is turned off")
    again = f"{way.target.name} has this image already" if _is_there(tx, planned) else ""
    return Offer(planned, f"Promote {what} to {way.to_stage}: {'; '.join(said)}.", planned.paused, again)


def _is_there(tx: Tx, planned: PromotionPlan) -> bool:
    targets = jobs.with_ids(tx, list(planned.images))
    return all(
        (deployed := targets[job_id].deployed) is not None and deployed.digest == image.digest
        for job_id, image in planned.images.items()
    )


def _of_job(ahead: Forecast) -> str:
    name = ahead.job.name
    if ahead.starts and ahead.replaces:
        return f"{name} will run and {ahead.beside}"
    if ahead.starts:
        return f"{name} will run"
    if ahead.beside:
        return f"{name} gets the image and nothing runs, since {ahead.beside}"
    if ahead.rule == "paused":
        return f"{name} is paused, so it gets the image and nothing runs"
    if ahead.rule == "inactive":
        return f"the schedule of {name} is inactive, so it gets the image and nothing runs"
    return f"{name} gets the image and nothing runs"


def _of_app(tx: Tx, target: Component, ahead: DeploymentForecast) -> list[str]:
    """Its hooks in their order, and the jobs that run because their image moves."""
    going = deployments.unfinished_of(tx, target.id)
    said = [f"{target.name} waits for deployment {going[0]}" if going else f"{target.name} deploys as one"]
    for kind in ("pre-deploy", "post-deploy"):
        names = ahead.names_of_hooks(kind)
        said += [f"{', '.join(names)} will run {kind}"] if names else []
    return [*said, f"{', '.join(ahead.starting)} will run"] if ahead.starting else said
