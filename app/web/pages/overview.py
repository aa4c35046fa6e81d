"""`/`: every job in one row, what runs now, what did not run and why, the latest builds; and the search."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from app.domain.errors import NotFound
from app.domain.jobs import Job
from app.domain.runs import Run, RunStatus
from app.store import builds, jobs, overview, projects, runs
from app.store.database import Tx
from app.store.overview import Bar
from app.web.pages import charts
from app.web.pages.visit import Visit, get, see

JOBS = 100
RUNNING = 8
LATELY = timedelta(hours=24)


@dataclass(frozen=True)
class JobRow:
    """A job with its latest runs, newest first."""

    job: Job
    bars: list[Bar]

    @property
    def latest(self) -> Bar | None:
        return self.bars[0] if self.bars else None

    def matches(self, show: str) -> bool:
        match show:
            case "failing":
                return self.latest is not None and self.latest.status is RunStatus.FAILED
            case "scheduled":
                return self.job.schedule is not None
            case _:
                return True


@dataclass(frozen=True)
class Underway:
    """A run that is going, with how far it is against its typical duration in seconds, if that is known."""

    run: Run
    progress: tuple[float, float] | None


def show_overview(visit: Visit) -> Response:
    show = visit.query("show")
    with visit.yard.db.read() as tx:
        page = jobs.page(tx, limit=JOBS + 1, before=visit.number("before"))
        listed = sorted(page[:JOBS], key=lambda job: (job.project, job.name))
        rows = [JobRow(job, overview.strip(tx, job.id)) for job in listed]
        context: dict[str, Any] = {
            "rows": [row for row in rows if row.matches(show)],
            "failing": sum(row.matches("failing") for row in rows),
            "more": page[JOBS - 1].id if len(page) > JOBS else None,
            "job_count": overview.count_jobs(tx),
            "has_project": bool(page) or bool(projects.page(tx, 1, None)),
            "running": [
                _underway(tx, visit, run) for run in overview.open_runs(tx, RunStatus.RUNNING, RUNNING)
            ],
            "building": overview.open_builds(tx, RUNNING),
            "running_count": overview.count_runs(tx, RunStatus.RUNNING),
            "queued_count": overview.count_runs(tx, RunStatus.QUEUED),
            "nothing_ran": overview.recent_decisions(tx, since=visit.now - LATELY, limit=6),
            "builds": builds.page(tx, limit=6),
        }
    return visit.page("overview.html", show=show, health=visit.yard.engine_health(), **context)


def _underway(tx: Tx, visit: Visit, run: Run) -> Underway:
    typical = overview.typical_duration(overview.strip(tx, run.job_id))
    return Underway(run, charts.progress(run.started_at, visit.now, typical))


def search(visit: Visit) -> Response:
    """Jobs by any part of their name, runs by the beginning of theirs, builds by that of their commit."""
    text = visit.query("q").strip()[:100]
    if not text:
        return see("/")
    with visit.yard.db.read() as tx:
        try:
            return see(f"/runs/{runs.named(tx, text).name}")
        except NotFound:
            found_jobs = overview.find_jobs(tx, text.lower())
            found_runs = overview.find_runs(tx, text)
            found_builds = overview.find_builds(tx, text.lower())
    if len(found_jobs) == 1 and not found_runs and not found_builds:
        project, job = found_jobs[0]
        return see(f"/projects/{project}/jobs/{job}")
    return visit.page(
        "search.html",
        text=text,
        jobs=found_jobs,
        runs=found_runs,
        builds=found_builds,
        window=overview.WINDOW,
    )


def routes() -> list[Route]:
    return [get("/", show_overview), get("/search", search)]
