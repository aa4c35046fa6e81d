"""`/runs`: the runs of all jobs, or those that filters leave, and how the newest of them went."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from app.domain.runs import RunStatus, TriggerType
from app.store import jobs, run_lists
from app.web.pages import charts
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
from app.web.schemas.lists import RunsWanted

CHOICES = (Choice("status", "Status", tuple(RunStatus)), Choice("trigger", "Started by", tuple(TriggerType)))
TEXTS = (("project", "Project"), ("job", "Job"), ("branch", "Branch"))


def show_runs(ctx: PageContext) -> Response:
    place = place_of(ctx)
    with ctx.server.db.read() as tx:
        filters = filters_of(ctx, tx, "/runs", CHOICES, TEXTS)
        project, job = named_in(ctx, tx, filters.given.get("project"), filters.given.get("job"))
        wanted = read_filters(ctx, RunsWanted, filters).filter(ctx, project, job)
        found, stretch = run_lists.page(tx, wanted, place, PER_PAGE)
        count = run_lists.count(tx, wanted)
        pasts = run_lists.newest(tx, wanted)
        names = jobs.display_names(tx, {run.job_id for run in found})
    return ctx.page(
        "runs.html",
        filters=filters,
        runs=found,
        names=names,
        count=counted(count, "run"),
        past=charts.past(pasts),
        pages=pager(filters, place, stretch),
    )


def routes() -> list[Route]:
    return [get("/runs", show_runs)]
