"""When a job will run by its schedule."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.domain.errors import Conflict, InvalidValue
from app.domain.fires import listed_after
from app.domain.schedule import Schedule
from app.web.api.operations import ApiContext, Operation
from app.web.schemas.base import Empty, Model
from app.web.schemas.fields import Time
from app.web.scope import job_of


class ScheduleQuery(Model):
    from_: Time | None = Field(
        default=None, alias="from", description="fires after this time; now if left out"
    )
    count: int = Field(default=10, ge=1, le=1000)


class FireAnswer(Model):
    at: Time
    local: Time = Field(description="the same in the schedule's time zone")
    note: str | None = Field(description="what a clock change does to it")


class FiresAnswer(Model):
    """The next scheduled times. Nothing starts by them while `active` is false."""

    cron: str
    time_zone: str
    description: str
    active: bool = Field(description="false while the schedule is inactive or the job paused")
    fires: list[FireAnswer]


def show_schedule(ctx: ApiContext[Empty, ScheduleQuery]) -> Any:
    with ctx.server.db.read() as tx:
        job = job_of(ctx, tx)
    settings = job.schedule
    if settings is None:
        raise Conflict(f"Job {job.name} is of kind {job.kind}, so it has no schedule.")
    schedule = Schedule.parse(settings.cron, settings.time_zone)
    try:
        after = ctx.query.from_ or listed_after(job.next_fire_at, ctx.now)
        fires = schedule.upcoming(after, ctx.query.count)
    except InvalidValue as error:
        raise InvalidValue("from", f"from: {error}") from None
    return {
        "cron": schedule.expression,
        "time_zone": schedule.time_zone,
        "description": schedule.describe(),
        "active": settings.active and not job.paused,
        "fires": [{"at": fire.at, "local": fire.local.isoformat(), "note": fire.note} for fire in fires],
    }


OPERATIONS = (
    Operation(
        "GET",
        "/projects/{p}/jobs/{j}/schedule",
        "Show the next scheduled times, with what clock changes do to them",
        show_schedule,
        query=ScheduleQuery,
        answer=FiresAnswer,
    ),
)
