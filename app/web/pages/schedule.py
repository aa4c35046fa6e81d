"""`/projects/{p}/jobs/{j}/schedule`: when the job is due, and what clock changes do to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.domain.errors import Conflict, InvalidValue
from app.domain.fires import listed_after
from app.domain.schedule import Schedule
from app.web.pages.context import PageContext, get
from app.web.pages.jobs import address
from app.web.pages.render import fragment
from app.web.scope import job_of

FIRES, NEXT = 50, 3


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


def next_times(cron: str, zone: str, now: datetime) -> list[datetime]:
    """The next times of what is typed; none for nothing. Raises InvalidValue."""
    if not cron.strip():
        return []
    return [each.at for each in Schedule.parse(cron.strip(), zone.strip()).upcoming(now, NEXT)]


def typed_times(given: Mapping[str, str], now: datetime) -> list[datetime]:
    """The next times of a form's schedule; none where it has none, or one that is refused."""
    if given.get("kind") != "cron":
        return []
    try:
        return next_times(given.get("schedule.cron", ""), given.get("schedule.time_zone", ""), now)
    except InvalidValue:
        return []


def preview_times(ctx: PageContext) -> Response:
    """The next times of what is typed into a form, as a piece of a page; or what is wrong with it."""
    try:
        fires = next_times(ctx.query("cron"), ctx.query("zone"), ctx.now)
    except InvalidValue as error:
        return PlainTextResponse(str(error), 422)
    return HTMLResponse(fragment("_next_times.html", fires=fires))


def routes() -> list[Route]:
    return [
        get("/schedule/next", preview_times),
        get("/projects/{project}/jobs/{job}/schedule", show_schedule),
    ]
