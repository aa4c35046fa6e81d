"""`/projects/{p}/jobs/{j}/schedule`: when the job is due, and what clock changes do to it."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from app.domain.errors import Conflict
from app.domain.fires import listed_after
from app.domain.schedule import Schedule
from app.web.pages.context import PageContext, get
from app.web.pages.jobs import address
from app.web.scope import job_of

FIRES = 50


def show_schedule(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        job = job_of(ctx, tx)
    settings = job.schedule
    if settings is None:
        raise Conflict(f"Job {job.name} is of kind {job.kind}, so it has no schedule.")
    schedule = Schedule.parse(settings.cron, settings.time_zone)
    fires = schedule.upcoming(listed_after(job.next_fire_at, ctx.now), FIRES)
    return ctx.page(
        "schedule.html",
        job=job,
        address=address(job),
        schedule=schedule,
        is_active=settings.active and not job.paused,
        fires=fires,
        change=next((fire for fire in fires if fire.note), None),
    )


def routes() -> list[Route]:
    return [get("/projects/{project}/jobs/{job}/schedule", show_schedule)]
