"""`/`: every job in one row, what runs now, what did not run and why, the latest builds; and the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from app.domain.builds import Build, BuildStatus
from app.domain.errors import NotFound
from app.domain.job.records import Job
from app.domain.runs import Run, RunStatus
from app.store import apps, builds, conditions, overview, projects
from app.store.apps import Part
from app.store.conditions import Show
from app.store.database import Tx
from app.store.overview import Bar
from app.web.pages import charts
from app.web.pages.context import PageContext, get, see
from app.web.reach import newest, run_called

JOBS = 100
RUNNING = 8
LATELY = timedelta(hours=24)


@dataclass(frozen=True)
class JobRow:
    """A job with its latest runs, newest first, and the build of its branch that failed, if that is the latest."""

    job: Job
    bars: list[Bar]
    failed_build: Build | None
    part: Part | None

    @property
    def latest(self) -> Bar | None:
        return self.bars[0] if self.bars else None


@dataclass(frozen=True)
class Underway:
    """A run that is going, with how far it is against its typical duration in seconds, if that is known."""

    run: Run
    progress: tuple[float, float] | None


def show_overview(ctx: PageContext) -> Response:
    show = next((each for each in Show if each == ctx.query("show")), Show.ALL)
    within = ctx.projects
    with ctx.server.db.read() as tx:
        page = conditions.page_of_jobs(tx, show, JOBS + 1, ctx.number("before"), within)
        counts = {each: conditions.count_jobs(tx, each, within) for each in Show}
        context: dict[str, Any] = {
            "rows": _rows(tx, sorted(page[:JOBS], key=lambda job: (job.project, job.name))),
            "counts": counts,
            "more": page[JOBS - 1].id if len(page) > JOBS else None,
            "has_project": bool(counts[Show.ALL]) or bool(projects.page(tx, 1, None, only=within)),
            "running": [
                _underway(tx, ctx, run) for run in overview.open_runs(tx, RunStatus.RUNNING, RUNNING, within)
            ],
            "building": overview.open_builds(tx, RUNNING, within),
            "running_count": overview.count_runs(tx, RunStatus.RUNNING, within),
            "queued_count": overview.count_runs(tx, RunStatus.QUEUED, within),
            "nothing_ran": overview.nothing_ran(tx, since=ctx.now - LATELY, limit=6, within=within),
            "builds": newest(ctx, lambda only: builds.page(tx, limit=6, project_id=only), 6),
        }
    return ctx.page("overview.html", show=str(show), health=ctx.server.engine_health(), **context)


def _rows(tx: Tx, listed: Sequence[Job]) -> list[JobRow]:
    latest = conditions.latest_builds_of(tx, [job.id for job in listed])
    failed = {job_id: build for job_id, build in latest.items() if build.status is BuildStatus.FAILED}
    parts = apps.parts_of(tx, [job.id for job in listed])
    return [JobRow(job, overview.strip(tx, job.id), failed.get(job.id), parts.get(job.id)) for job in listed]


def _underway(tx: Tx, ctx: PageContext, run: Run) -> Underway:
    typical = overview.typical_duration(overview.strip(tx, run.job_id))
    return Underway(run, charts.progress(run.started_at, ctx.now, typical))


def search(ctx: PageContext) -> Response:
    """Jobs by any part of their name, runs by the beginning of theirs, builds by that of their commit."""
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
    if len(found_jobs) == 1 and not found_runs and not found_builds:
        project, job = found_jobs[0]
        return see(f"/projects/{project}/jobs/{job}")
    return ctx.page(
        "search.html",
        text=text,
        jobs=found_jobs,
        runs=found_runs,
        builds=found_builds,
        window=overview.WINDOW,
    )


def routes() -> list[Route]:
    return [get("/", show_overview), get("/search", search)]
