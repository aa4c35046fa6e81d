"""`/help`: the guide, which anybody may read: it says what Jobyard does, and nothing of this installation."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from app.web.guide import CHAPTERS, Guide
from app.web.pages.context import PageContext, get


def guide_of(ctx: PageContext) -> Guide:
    guide: Guide = ctx.request.app.state.guide
    return guide


def show_contents(ctx: PageContext) -> Response:
    return ctx.page("help.html", chapters=CHAPTERS)


def show_chapter(ctx: PageContext) -> Response:
    return ctx.page("help_chapter.html", chapters=CHAPTERS, shown=guide_of(ctx).page(ctx.path("chapter")))


def routes() -> list[Route]:
    return [get("/help", show_contents, None), get("/help/{chapter}", show_chapter, None)]
