"""`/pipelines`: which commit is deployed where, and the way from one stage to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from app.commands.promotions import lock_source, promote
from app.domain.errors import Conflict
from app.domain.job.records import Job
from app.domain.pipelines import Component, Pipeline, route
from app.domain.principals import Right
from app.store import apps, jobs, pipelines
from app.store.database import Tx
from app.store.pipelines import Promotion
from app.web.pages import formatting
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.promotion_preview import Offer, Refusal, offer
from app.web.reach import newest
from app.web.scope import pipeline_of

PIPELINES = 20
PROMOTIONS = 5


@dataclass(frozen=True)
class Place:
    """A component in its stage; `offer` is its way on, None in the last stage."""

    component: Component
    jobs: Sequence[Job]
    offer: Offer | None
    refusal: Refusal | None


@dataclass(frozen=True)
class Column:
    name: str
    places: Sequence[Place]


@dataclass(frozen=True)
class Board:
    """One pipeline as it is drawn."""

    pipeline: Pipeline
    columns: Sequence[Column]
    promotions: Sequence[Promotion]


def show_pipelines(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        before, limit = ctx.number("before"), PIPELINES + 1
        found = newest(
            ctx, lambda only: pipelines.page(tx, project_id=only, limit=limit, before=before), limit
        )
        boards = [_board(tx, each, ctx.who) for each in found[:PIPELINES]]
    return ctx.page(
        "pipelines.html",
        boards=boards,
        more=found[PIPELINES - 1].id if len(found) > PIPELINES else None,
    )


def _board(tx: Tx, pipeline: Pipeline, who: str) -> Board:
    last = len(pipeline.stages) - 1
    columns = [
        Column(stage.name, [_place(tx, pipeline, each, who, number == last) for each in stage.components])
        for number, stage in enumerate(pipeline.stages)
    ]
    return Board(pipeline, columns, pipelines.promotions(tx, pipeline.id, PROMOTIONS))


def _place(tx: Tx, pipeline: Pipeline, component: Component, who: str, is_last: bool) -> Place:
    of_app = apps.with_id(tx, component.id).members if component.kind == "app" else ()
    ids = [member.job_id for member in of_app] if component.kind == "app" else [component.id]
    found = jobs.with_ids(tx, ids)
    way = None if is_last else offer(tx, pipeline, component.name, who)
    return Place(
        component,
        [found[job_id] for job_id in ids if job_id in found],
        way if isinstance(way, Offer) else None,
        way if isinstance(way, Refusal) else None,
    )


def promote_component(ctx: PageContext) -> Response:
    """Does what the page said it would, or nothing: what changed since then is read again first."""
    with ctx.server.db.write() as tx:
        pipeline = pipeline_of(ctx, tx)
        component = ctx.field("component")
        lock_source(tx, route(pipeline, component, to=None, to_stage=None, may_skip_stages=False))
        way = offer(tx, pipeline, component, ctx.who)
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
    return [
        get("/pipelines", show_pipelines),
        post("/projects/{project}/pipelines/{pipeline}/promote", promote_component, Right.DEPLOY),
    ]
