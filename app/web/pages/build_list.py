"""`/builds`: the builds for all jobs and build services, or those that filters leave."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from app.domain.build_parts import BuildTriggerType
from app.domain.builds import BuildStatus
from app.store import build_lists, builds
from app.web.pages.context import PageContext, get
from app.web.pages.list_filters import (
    PER_PAGE,
    Choice,
    counted,
    filters_of,
    pager,
    place_of,
    read_filters,
)
from app.web.reach import named_in
from app.web.schemas.lists import BuildsWanted

CHOICES = (
    Choice("status", "Status", tuple(BuildStatus)),
    Choice("trigger", "Started by", tuple(BuildTriggerType)),
)
TEXTS = (("project", "Project"), ("job", "Job"), ("branch", "Branch"))


def show_builds(ctx: PageContext) -> Response:
    place = place_of(ctx)
    with ctx.server.db.read() as tx:
        filters = filters_of(ctx, tx, "/builds", CHOICES, TEXTS)
        project, job = named_in(ctx, tx, filters.given.get("project"), filters.given.get("job"))
        wanted = read_filters(ctx, BuildsWanted, filters).filter(ctx, project, job)
        found, stretch = build_lists.page(tx, wanted, place, PER_PAGE)
        count = build_lists.count(tx, wanted)
        made_for = builds.made_for(tx, [build.id for build in found])
    return ctx.page(
        "builds.html",
        filters=filters,
        builds=found,
        made_for=made_for,
        count=counted(count, "build"),
        pages=pager(filters, place, stretch),
    )


def routes() -> list[Route]:
    return [get("/builds", show_builds)]
