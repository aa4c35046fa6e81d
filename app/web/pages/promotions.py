"""`/projects/{p}/pipelines/{pl}/promote`: what a promotion would do, and then the promotion."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import Route

from app.commands.dry_run import of_promotion
from app.commands.promotions import lock_source, promote
from app.domain.errors import Conflict
from app.domain.pipelines import Pipeline, route
from app.domain.principals import Right
from app.store.database import Tx
from app.web.pages import formatting
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.pipeline_board import Pair, deployed_builds, gap_of, jobs_of, pairs_of
from app.web.pages.promotion_preview import Offer, Refusal, offer
from app.web.scope import pipeline_of


def show_promotion(ctx: PageContext) -> Response:
    component, stage = ctx.query("component"), ctx.query("to_stage")
    with ctx.server.db.read() as tx:
        pipeline = pipeline_of(ctx, tx)
        found = pipeline.find(component)
        if found is None:
            raise Conflict(
                f"Choose on the board what to promote: {component!r} is no component of {pipeline.name}."
            )
        way = _way(ctx, tx, pipeline, component, stage)
        is_offer = isinstance(way, Offer)
        effects = of_promotion(tx, way.planned, confirm_paused=True) if isinstance(way, Offer) else []
        pairs = _pairs(tx, way) if isinstance(way, Offer) else []
    later = _later(ctx, pipeline, found[0])
    return ctx.page(
        "promote.html",
        pipeline=pipeline,
        component=found[1],
        way=way,
        is_offer=is_offer,
        effects=effects,
        gaps=[gap_of(pair, ctx.server.commit_ranges) for pair in pairs],
        later=later,
        stage=stage or (later[0] if later else ""),
    )


def _way(ctx: PageContext, tx: Tx, pipeline: Pipeline, component: str, stage: str) -> Offer | Refusal:
    may_skip = ctx.may(Right.SKIP_STAGES, pipeline.project_id)
    return offer(tx, pipeline, component, ctx.who, to_stage=stage or None, may_skip_stages=may_skip)


def _later(ctx: PageContext, pipeline: Pipeline, number: int) -> Sequence[str]:
    """The stages that the reader may promote to from the one with the number."""
    names = [stage.name for stage in pipeline.stages[number + 1 :]]
    return names if ctx.may(Right.SKIP_STAGES, pipeline.project_id) else names[:1]


def _pairs(tx: Tx, way: Offer) -> Sequence[Pair]:
    """Each job that gets an image, with the job that it comes from."""
    sources, targets = jobs_of(tx, way.planned.route.source), jobs_of(tx, way.planned.route.target)
    return pairs_of(sources, targets, deployed_builds(tx, sources))


def promote_component(ctx: PageContext) -> Response:
    """Does what the page said it would, or nothing: what changed since then is read again first."""
    with ctx.server.db.write() as tx:
        pipeline = pipeline_of(ctx, tx)
        component, stage = ctx.field("component"), ctx.field("to_stage")
        may_skip = ctx.may(Right.SKIP_STAGES, pipeline.project_id)
        lock_source(tx, route(pipeline, component, to=None, to_stage=stage or None, may_skip_stages=may_skip))
        way = _way(ctx, tx, pipeline, component, stage)
        if isinstance(way, Refusal):
            raise Conflict(way.sentence)
        if way.sentence != ctx.field("said"):
            raise Conflict(f"Things changed since that page was made; now it would be: {way.sentence}")
        if way.paused and ctx.field("confirm_paused") != "1":
            raise Conflict(
                f"{formatting.paused(way.paused)}: agree to that on the page to promote all the same."
            )
        if way.again and ctx.field("confirm_again") != "1":
            raise Conflict(f"{way.again}: agree to that on the page to promote it once more.")
        promote(tx, ctx.server.names, pipeline, way.planned, who=ctx.who, now=ctx.now)
    return see(f"/pipelines#pipeline-{pipeline.id}")


def routes() -> list[Route]:
    path = "/projects/{project}/pipelines/{pipeline}/promote"
    return [get(path, show_promotion, Right.DEPLOY), post(path, promote_component, Right.DEPLOY)]
