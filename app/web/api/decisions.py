"""Decisions: every verdict with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from pydantic import Field

from app.domain.decisions import Decision
from app.store import decision_lists, decisions
from app.store.database import Tx
from app.store.decision_lists import DecisionFilter
from app.web.api.lists import paged, stretched
from app.web.api.operations import ApiContext, Operation
from app.web.numbers import LARGEST
from app.web.reach import delivery_called, named_in, newest, run_called
from app.web.request_context import RequestContext
from app.web.schemas.base import Empty, Page, Paging
from app.web.schemas.lists import DecisionsWanted, OfAll
from app.web.schemas.told_decision import ToldDecisionAnswer, told_decision_answers


class DecisionsQuery(DecisionsWanted, OfAll, Paging):
    delivery: str | None = Field(default=None, description="a delivery's id, replays included")
    build: int | None = Field(default=None, ge=1, le=LARGEST)
    run: str | None = Field(default=None, description="a run's id or name")


def list_decisions(ctx: ApiContext[Empty, DecisionsQuery]) -> Any:
    with ctx.server.db.read() as tx:
        project, job = named_in(ctx, tx, ctx.query.project, ctx.query.job)
        wanted, of = ctx.query.filter(ctx, project, job), _of(ctx, tx)
        shown = partial(told_decision_answers, tx)
        if not of:
            return stretched(ctx, lambda place, limit: decision_lists.page(tx, wanted, place, limit), shown)
        return paged(
            ctx,
            lambda limit, before: _few(ctx, tx, wanted, of, limit, before),
            shown,
        )


def _few(
    ctx: RequestContext, tx: Tx, wanted: DecisionFilter, of: dict[str, Any], limit: int, before: int | None
) -> Sequence[Decision]:
    """Decisions of something that has few of them."""

    def in_project(project_id: int | None) -> Sequence[Decision]:
        return decisions.page(
            tx,
            limit=limit,
            before=before,
            **of,
            project_id=project_id,
            job_id=wanted.job_id,
            event_type=wanted.event,
            verdicts=[] if wanted.verdict is None else [wanted.verdict],
            since=wanted.since,
            until=wanted.until,
        )

    return newest(ctx, in_project, limit) if wanted.project_id is None else in_project(wanted.project_id)


def _of(ctx: ApiContext[Empty, DecisionsQuery], tx: Tx) -> dict[str, Any]:
    """The one thing that decisions are wanted of, if there is one."""
    query = ctx.query
    wanted: dict[str, Any] = {} if query.build is None else {"build_id": query.build}
    if query.run is not None:
        wanted["run_id"] = run_called(ctx, tx, query.run).id
    if query.delivery is not None:
        wanted["pushes"] = delivery_called(ctx, tx, query.delivery).event_ids
    return wanted


OPERATIONS = (
    Operation(
        "GET",
        "/decisions",
        "List decisions that match everything given",
        list_decisions,
        query=DecisionsQuery,
        answer=Page[ToldDecisionAnswer],
    ),
)
