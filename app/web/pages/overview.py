"""`/`: every job in one row, what runs now, what did not run and why, the latest builds; and the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from app.domain.errors import NotFound
from app.domain.runs import Run, RunStatus
from app.store import builds, overview, projects
from app.store.database import Tx
from app.store.strips import strips
from app.web.pages import charts
from app.web.pages.context import PageContext, get, see
from app.web.pages.decision_groups import Group, grouped
from app.web.pages.guide import guide_of
from app.web.pages.job_rows import ORDER_NAMES, Show, asked_of, list_jobs
from app.web.reach import newest, run_called

RUNNING = 8
SKIPPED, SKIPPED_READ = 6, 40  # lines, and decisions that they are made of
LATELY = timedelta(hours=24)


@dataclass(frozen=True)
class Underway:
    """A run that is going, with how far it is against its typical duration in seconds, if that is known."""

    run: Run
    progress: tuple[float, float] | None


def show_overview(ctx: PageContext) -> Response:
    within = ctx.projects
    with ctx.server.db.read() as tx:
        listed = list_jobs(tx, ctx, asked_of(ctx, "/"))
        is_empty = not listed.counts[Show.ALL]
        context: dict[str, Any] = {
            "listed": listed,
            "has_project": not is_empty or bool(projects.page(tx, 1, None, only=within)),
            "running": _underway(tx, ctx, overview.open_runs(tx, RunStatus.RUNNING, RUNNING, within)),
            "building": overview.open_builds(tx, RUNNING, within),
            "running_count": overview.count_runs(tx, RunStatus.RUNNING, within),
            "queued_count": overview.count_runs(tx, RunStatus.QUEUED, within),
            "skipped": _skipped(tx, ctx),
            "builds": newest(ctx, lambda only: builds.page(tx, limit=6, project_id=only), 6),
        }
    return ctx.page("overview.html", health=ctx.server.engine_health(), order_names=ORDER_NAMES, **context)


def _underway(tx: Tx, ctx: PageContext, running: Sequence[Run]) -> list[Underway]:
    newest_runs = {run.job_id: run.id for run in reversed(running)}
    before = strips(tx, newest_runs)
    return [
        Underway(run, charts.progress(run.started_at, ctx.now, before[run.job_id].typical)) for run in running
    ]


def _skipped(tx: Tx, ctx: PageContext) -> list[Group]:
    since = ctx.now - LATELY
    return grouped(overview.nothing_ran(tx, since=since, limit=SKIPPED_READ, within=ctx.projects))[:SKIPPED]


def search(ctx: PageContext) -> Response:
    """Jobs by any part of their name, runs by the beginning of theirs, builds by that of their commit.

    Passages of the guide are found by the words in them.
    """
    text = ctx.query("q").strip()[:100]
    if not text:
        return see("/")
    with ctx.server.db.read() as tx:
        try:
            return see(f"/runs/{run_called(ctx, tx, text).name}")
        except NotFound:
            found_jobs = overview.find_jobs(tx, text.lower(), within=ctx.projects)
            found_runs = overview.find_runs(tx, text, within=ctx.projects)
            found_builds = overview.find_builds(tx, text.lower(), within=ctx.projects)
    passages = guide_of(ctx).find(text)
    is_the_guides = any(each.is_titled for each in passages)
    if len(found_jobs) == 1 and not (found_runs or found_builds or is_the_guides):
        project, job, _ = found_jobs[0]
        return see(f"/projects/{project}/jobs/{job}")
    return ctx.page(
        "search.html",
        text=text,
        jobs=found_jobs,
        runs=found_runs,
        builds=found_builds,
        passages=passages,
        window=overview.WINDOW,
    )


def routes() -> list[Route]:
    return [get("/", show_overview), get("/search", search)]
