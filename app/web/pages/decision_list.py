"""`/decisions`, and a job's own: what was decided about whom, why, and what answers "why at this moment?"."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.domain.decisions import EventType, Verdict
from app.domain.job.records import Job
from app.store import commit_statuses, decision_lists, decisions
from app.store.database import Tx
from app.store.projects import Project
from app.web.pages.context import PageContext, get
from app.web.pages.decision_groups import Group, grouped
from app.web.pages.form_errors import refused
from app.web.pages.jobs import address
from app.web.pages.list_filters import (
    PER_PAGE,
    Choice,
    Filters,
    as_utc,
    counted,
    filters_of,
    pager,
    place_of,
    read_filters,
)
from app.web.reach import named_in
from app.web.reading import read_value
from app.web.schemas.commit_status import commit_status_answers
from app.web.schemas.lists import DecisionsWanted, Moment
from app.web.scope import job_or_what_is_left, project_of

CHOICES = (Choice("verdict", "Verdict", tuple(Verdict)), Choice("event", "About a", tuple(EventType)))
TEXTS = (("project", "Project"), ("job", "Job"))
ANSWERS = 3


def show_decisions(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        filters = filters_of(ctx, tx, "/decisions", CHOICES, TEXTS)
        project, job = named_in(ctx, tx, filters.given.get("project"), filters.given.get("job"))
        return ctx.page("decisions.html", job=None, why=None, **_listed(ctx, tx, filters, project, job))


def show_decisions_of_job(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        project, job = project_of(ctx, tx), job_or_what_is_left(ctx, tx)
        filters = filters_of(ctx, tx, f"{address(job)}/decisions", CHOICES, ())
        why = _why(ctx, tx, job)
        return ctx.page(
            "decisions.html",
            job=job,
            why=why,
            address=address(job),
            **_listed(ctx, tx, filters, project, job),
        )


def _listed(
    ctx: PageContext, tx: Tx, filters: Filters, project: Project | None, job: Job | None
) -> dict[str, Any]:
    place = place_of(ctx)
    wanted = read_filters(ctx, DecisionsWanted, filters).filter(ctx, project, job)
    found, stretch = decision_lists.page(tx, wanted, place, PER_PAGE)
    told = commit_statuses.about(tx, decisions=[each.id for each in found])
    return {
        "filters": filters,
        "groups": grouped(found),
        "told": {
            each.decision_id: answer for each, answer in zip(told, commit_status_answers(told), strict=True)
        },
        "count": counted(decision_lists.count(tx, wanted), "decision"),
        "pages": pager(filters, place, stretch),
    }


def _why(ctx: PageContext, tx: Tx, job: Job) -> dict[str, object] | None:
    """What answers why the job did or did not run at the moment that is asked about, if one is."""
    text = ctx.query("at").strip()
    if not text:
        return None
    try:
        at = read_value(Moment, {"at": as_utc(text)}, ctx.server).at
    except ValidationError as error:
        return {"text": text, "at": None, "problem": refused(error).detail, "groups": []}
    groups: list[Group] = grouped(decisions.answering(tx, job.id, at, ANSWERS))
    return {"text": text, "at": at, "problem": "", "groups": groups[:ANSWERS]}


def routes() -> list[Route]:
    return [
        get("/decisions", show_decisions),
        get("/projects/{project}/jobs/{job}/decisions", show_decisions_of_job),
    ]
