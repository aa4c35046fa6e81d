"""Jobs one a line, on the overview and a project's page: which of them, in which order, and how each is doing."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any
from urllib.parse import urlencode

from app.domain.job.records import Job
from app.store import apps, builds, conditions, jobs
from app.store.apps import Part
from app.store.conditions import Standing
from app.store.database import Tx
from app.store.strips import Strip, strips
from app.web.pages.context import PageContext

PER_PAGE = 50
TEXT = 100  # characters of a name that is looked for
NEVER = datetime.max.replace(tzinfo=UTC)


class Show(enum.StrEnum):
    """A choice of jobs."""

    ALL = ""
    FAILING = "failing"  # the latest run, or the latest build of the branch, failed
    RUNNING = "running"
    SCHEDULED = "scheduled"


HOLDS: dict[Show, Callable[[Standing], Any]] = {
    Show.FAILING: attrgetter("is_failing"),
    Show.RUNNING: attrgetter("is_running"),
    Show.SCHEDULED: attrgetter("is_scheduled"),
}


class Sort(enum.StrEnum):
    """An order of jobs."""

    STATE = ""  # failing ones first, then those that run
    NAME = "name"
    LATEST = "latest"  # who ran last first
    NEXT = "next"  # who is due first


ORDERS: dict[Sort, Callable[[Standing], tuple[Any, ...]]] = {
    Sort.STATE: lambda job: (not job.is_failing, not job.is_running, job.name, job.project),
    Sort.NAME: lambda job: (job.name, job.project),
    Sort.NEXT: lambda job: (job.name, job.project),  # of those that are due at once, or never
    Sort.LATEST: lambda job: (-(job.latest_run_id or 0), job.name, job.project),
}
ORDER_NAMES = {
    Sort.STATE: "failing first",
    Sort.NAME: "name",
    Sort.LATEST: "latest run",
    Sort.NEXT: "next run",
}


@dataclass(frozen=True)
class Asked:
    """Which jobs are wanted: what the address of the list says. `page` counts from 1."""

    address: str
    show: Show = Show.ALL
    text: str = ""
    sort: Sort = Sort.STATE
    by_project: bool = False
    page: int = 1

    def at(self, **changes: Any) -> str:
        """The address of the same list with changes; from its first page unless they name another."""
        other = replace(self, **{"page": 1, **changes})
        words = {
            "show": other.show.value,
            "name": other.text,
            "sort": other.sort.value,
            "group": "project" if other.by_project else "",
            "page": str(other.page) if other.page > 1 else "",
        }
        query = urlencode({name: value for name, value in words.items() if value})
        return f"{self.address}?{query}" if query else self.address


@dataclass(frozen=True)
class JobRow:
    """A job with its latest runs, and the build of its branch that failed, if that is the latest."""

    job: Job
    strip: Strip
    failed_build: int | None
    why_failed: str  # the build, in a sentence
    part: Part | None


@dataclass(frozen=True)
class JobList:
    """One page of jobs. `counts` are of all that are within reach, whatever is looked for; `found` of what is."""

    asked: Asked
    rows: Sequence[JobRow]
    counts: Mapping[Show, int]
    found: int

    @property
    def first(self) -> int:
        return (self.asked.page - 1) * PER_PAGE + 1

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    @property
    def has_more(self) -> bool:
        return self.found > self.asked.page * PER_PAGE


def asked_of(ctx: PageContext, address: str) -> Asked:
    """What a request asks for; a word that means nothing here counts as none."""
    return Asked(
        address,
        next((each for each in Show if each == ctx.query("show")), Show.ALL),
        ctx.query("name").strip()[:TEXT],
        next((each for each in Sort if each == ctx.query("sort")), Sort.STATE),
        ctx.query("group") == "project",
        max(ctx.number("page") or 1, 1),
    )


def list_jobs(tx: Tx, ctx: PageContext, asked: Asked, project_id: int | None = None) -> JobList:
    """Jobs within the caller's reach, of one project or of all."""
    all_jobs = conditions.standings(tx, ctx.projects, project_id=project_id)
    counts = {Show.ALL: len(all_jobs)} | {show: sum(map(holds, all_jobs)) for show, holds in HOLDS.items()}
    if asked.text:
        all_jobs = conditions.standings(tx, ctx.projects, project_id=project_id, named=asked.text)
    found = sorted(filter(HOLDS.get(asked.show), all_jobs), key=ORDERS[asked.sort])
    if asked.sort is Sort.NEXT:
        due = conditions.next_fires(tx)
        found.sort(key=lambda job: due.get(job.job_id, NEVER))
    if asked.by_project:
        found.sort(key=lambda job: job.project)
    pages = max(-(-len(found) // PER_PAGE), 1)
    asked = replace(asked, page=min(asked.page, pages))
    first = (asked.page - 1) * PER_PAGE
    return JobList(asked, _rows(tx, found[first : first + PER_PAGE]), counts, len(found))


def _rows(tx: Tx, listed: Sequence[Standing]) -> list[JobRow]:
    ids = [each.job_id for each in listed]
    readable = jobs.with_ids(tx, ids)
    drawn = strips(tx, {each.job_id: each.latest_run_id for each in listed})
    said = builds.sentences_of(tx, [each.failed_build_id for each in listed if each.failed_build_id])
    parts = apps.parts_of(tx, ids)
    return [
        JobRow(
            readable[each.job_id],
            drawn[each.job_id],
            each.failed_build_id,
            said.get(each.failed_build_id or 0, ""),
            parts.get(each.job_id),
        )
        for each in listed
        if each.job_id in readable
    ]
