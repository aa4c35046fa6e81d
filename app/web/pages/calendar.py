"""`/schedule`: what is due in the coming week over all jobs, in the reader's time zone; what was missed in the last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from app.domain.errors import InvalidValue
from app.domain.fires import listed_after
from app.domain.schedule import Schedule
from app.domain.schedule.zones import load_zone
from app.domain.week import Band, Week, changes_between, midnights, week_of
from app.store import decisions, projects, schedules
from app.store.schedules import ListedJob
from app.web.pages.context import PageContext, get

ZONE = "jobyard_zone"  # the cookie in which a browser says what its times are shown in
A_SLOT = 3  # marks of one hour that are drawn; more are counted
BANDS = 50
NOTES = 20
MISSED = 30
PROJECTS = 200
AN_HOUR_LISTS = 500
_WEEK = timedelta(days=7)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Mark:
    """A scheduled time of a job: `local` is in the reader's zone, `note` what a clock change does to it."""

    job: ListedJob
    at: datetime
    local: datetime
    note: str | None


@dataclass
class Slot:
    """An hour of a day in which something is due."""

    hour: int
    begins: datetime
    marks: list[Mark] = field(default_factory=list)
    count: int = 0


@dataclass(frozen=True)
class Day:
    """A column. `change` says what the clocks of the reader's zone do on that day."""

    begins: datetime
    change: str
    slots: Sequence[Slot]


@dataclass(frozen=True)
class Often:
    """A job that is due many times a day: `days` are the first and last time of each day in words."""

    job: ListedJob
    words: str
    days: Sequence[str]


@dataclass(frozen=True)
class Asked:
    """What the address of the page says."""

    project: str
    name: str
    hour: datetime | None  # of which everything is listed

    def at(self, hour: datetime | None = None) -> str:
        """The address of the same page, with everything of one hour listed."""
        given = {
            "project": self.project,
            "name": self.name,
            "hour": hour and hour.isoformat(timespec="minutes"),
        }
        query = urlencode({name: text for name, text in given.items() if text})
        return f"/schedule?{query}" if query else "/schedule"


def show_calendar(ctx: PageContext) -> Response:
    zone = _zone(ctx)
    asked = Asked(ctx.query("project"), ctx.query("name").strip(), _hour(ctx.query("hour"), zone))
    only = {"project": asked.project, "named": asked.name}
    with ctx.server.db.read() as tx:
        names = [each.name for each in projects.page(tx, PROJECTS, None, only=ctx.projects)]
        found = schedules.listed(tx, ctx.projects, **only)
        missed = decisions.missed(tx, ctx.now - _WEEK, MISSED, ctx.projects, **only)
    active = [job for job in found if job.is_active]
    edges = midnights(ctx.now, zone)
    weeks = [(job, week_of(job.cron, job.time_zone, edges)) for job in active]
    marks = sorted(_marks(weeks, zone, ctx.now), key=lambda mark: (mark.at, mark.job.name))
    often = [(job, week) for job, week in weeks if week.bands]
    return ctx.page(
        "calendar.html",
        zone=zone,
        asked=asked,
        projects=sorted(names),
        days=_days(marks, edges, zone),
        often=[_often(job, week, zone) for job, week in often[:BANDS]],
        more_often=max(len(often) - BANDS, 0),
        listed=_listed(asked.hour, weeks, marks, zone, ctx.now),
        notes=[mark for mark in marks if mark.note][:NOTES],
        missed=missed,
        has_any=bool(found),
        resting=len(found) - len(active),
        until=edges[-1],
    )


def _zone(ctx: PageContext) -> str:
    """What the reader's browser shows times in; UTC where it did not say, or nothing that is known."""
    wanted = ctx.query("zone") or ctx.request.cookies.get(ZONE, "")
    return wanted if is_zone(wanted) else "UTC"


def is_zone(name: str) -> bool:
    try:
        load_zone(name)
    except InvalidValue:
        return False
    return True


def _hour(text: str, zone: str) -> datetime | None:
    """The hour of the address, such as 2026-12-01T02:00+01:00; None for what is none."""
    try:
        at = datetime.fromisoformat(text)
        hour = at.astimezone(load_zone(zone)) if at.tzinfo else None
    except (ValueError, OverflowError):  # the latter for the first and last hours of the calendar
        return None
    return hour and hour.replace(minute=0, second=0, microsecond=0)


def _marks(weeks: Iterable[tuple[ListedJob, Week]], zone: str, now: datetime) -> Iterator[Mark]:
    """Single times that are still to come."""
    of_reader = load_zone(zone)
    for job, week in weeks:
        after = listed_after(job.next_fire_at, now)
        for fire in week.fires:
            if fire.at > after:
                yield Mark(job, fire.at, fire.at.astimezone(of_reader), fire.note)


def _days(marks: Sequence[Mark], edges: Sequence[datetime], zone: str) -> list[Day]:
    slots: dict[datetime, dict[int, Slot]] = defaultdict(dict)
    begins = {edge.astimezone(load_zone(zone)).date(): edge for edge in edges[:-1]}
    for mark in marks:
        hours, hour = slots[begins[mark.local.date()]], mark.local.hour
        slot = hours.setdefault(hour, Slot(hour, mark.local.replace(minute=0)))
        slot.count += 1
        if len(slot.marks) < A_SLOT:
            slot.marks.append(mark)
    return [
        Day(
            edge.astimezone(load_zone(zone)),
            _change(zone, edge, until),
            [slots[edge][hour] for hour in sorted(slots[edge])],
        )
        for edge, until in pairwise(edges)
    ]


def _change(zone: str, begin: datetime, end: datetime) -> str:
    step = changes_between(zone, begin, end)
    if not step:
        return ""
    minutes = int(abs(step).total_seconds()) // 60
    span = f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
    return f"Clocks go {'forward' if step > timedelta(0) else 'back'} by {span} on this day."


def _often(job: ListedJob, week: Week, zone: str) -> Often:
    words = Schedule.parse(job.cron, job.time_zone).describe()
    return Often(job, words, [_span(band, zone) for band in week.bands])


def _span(band: Band | None, zone: str) -> str:
    if band is None:
        return ""
    first, last = (at.astimezone(load_zone(zone)) for at in (band.first, band.last))
    return f"{first:%H:%M}\N{EN DASH}{last:%H:%M}"


def _listed(
    hour: datetime | None,
    weeks: Sequence[tuple[ListedJob, Week]],
    marks: Sequence[Mark],
    zone: str,
    now: datetime,
) -> list[Mark]:
    """Everything that is due in one hour, times of jobs that are due often included."""
    if hour is None:
        return []
    of_reader, begin = load_zone(zone), max(hour.astimezone(now.tzinfo), now)
    until = hour.astimezone(now.tzinfo) + _HOUR - timedelta(microseconds=1)
    found = [mark for mark in marks if begin <= mark.at <= until]
    for job, week in weeks:
        if week.bands and len(found) < AN_HOUR_LISTS and begin < until:
            fires = Schedule.parse(job.cron, job.time_zone).fires_between(
                begin - timedelta(microseconds=1), until
            )
            found += [Mark(job, at, at.astimezone(of_reader), None) for at in fires]
    return sorted(found, key=lambda mark: (mark.at, mark.job.name))[:AN_HOUR_LISTS]


def routes() -> list[Route]:
    return [get("/schedule", show_calendar)]
