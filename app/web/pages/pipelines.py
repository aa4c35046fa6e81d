"""`/pipelines`: which commit is deployed where, and what lies between one stage and the next."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from app.store import pipelines
from app.web.pages.context import PageContext, get
from app.web.pages.makers import projects_to_change
from app.web.pages.pipeline_board import board_of, with_gaps
from app.web.reach import newest
from app.web.scope import pipeline_of

PIPELINES = 20
PROMOTIONS = 5  # of each pipeline in the list
HISTORY = 50


def show_pipelines(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        before, limit = ctx.number("before"), PIPELINES + 1
        found = newest(
            ctx, lambda only: pipelines.page(tx, project_id=only, limit=limit, before=before), limit
        )
        boards = [
            board_of(tx, each, ctx.who, pipelines.promotions(tx, each.id, PROMOTIONS))
            for each in found[:PIPELINES]
        ]
        makers = projects_to_change(ctx, tx)
    return ctx.page(
        "pipelines.html",
        boards=with_gaps(boards, ctx.server.commit_ranges),
        makers=makers,
        more=found[PIPELINES - 1].id if len(found) > PIPELINES else None,
    )


def show_pipeline(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        pipeline = pipeline_of(ctx, tx)
        promotions = pipelines.promotions(tx, pipeline.id, HISTORY + 1, ctx.number("before"))
        board = board_of(tx, pipeline, ctx.who, promotions[:HISTORY])
    [shown] = with_gaps([board], ctx.server.commit_ranges)
    more = promotions[HISTORY - 1].id if len(promotions) > HISTORY else None
    return ctx.page("pipeline.html", board=shown, more=more)


def routes() -> list[Route]:
    return [get("/pipelines", show_pipelines), get("/projects/{project}/pipelines/{pipeline}", show_pipeline)]
