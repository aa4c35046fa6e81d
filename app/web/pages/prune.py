"""`/prune`: what is kept and for how long, what would be removed now, and the button that removes it."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from app.domain.principals import Right
from app.domain.room import size
from app.store.audit_recorder import note
from app.web.pages.context import PageContext, get, post, see


def show_prune(ctx: PageContext) -> Response:
    retention = ctx.server.retention
    plan = retention.plan()
    portions = retention.preview(plan)
    return ctx.page(
        "prune.html",
        limits=retention.limits,
        plan=plan,
        portions=portions,
        images=retention.preview_of_images(plan),
        going=sum(each.going for each in portions),
        weight=sum(each.bytes for each in portions),
        size=size,
        is_begun=bool(ctx.query("begun")),
    )


def prune(ctx: PageContext) -> Response:
    note(ctx.server.db)
    ctx.server.retention.ask()
    return see("/prune?begun=1")


def routes() -> list[Route]:
    return [get("/prune", show_prune, Right.PRUNE), post("/prune", prune, Right.PRUNE)]
