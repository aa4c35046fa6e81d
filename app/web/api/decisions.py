"""Decisions: every verdict with its reason."""

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic import Field

from app.store import decisions
from app.store.database import Tx
from app.web.api.lists import history, history_wanted, paged
from app.web.api.operations import ApiContext, Operation
from app.web.numbers import LARGEST
from app.web.reach import delivery_called, run_called
from app.web.schemas.base import Empty, Model, Page, Paging
from app.web.schemas.decision import DecisionAnswer, decision_answer
from app.web.schemas.fields import Time


class DecisionsAnswer(Model):
    """Decisions, newest first."""

    items: list[DecisionAnswer]


class DecisionsQuery(Paging):
    project: str | None = None
    job: str | None = Field(default=None, description="a job's name, also of a deleted one; needs `project`")
    delivery: str | None = Field(default=None, description="a delivery's id, replays included")
    build: int | None = Field(default=None, ge=1, le=LARGEST)
    run: str | None = Field(default=None, description="a run's id or name")
    since: Time | None = None


def list_decisions(ctx: ApiContext[Empty, DecisionsQuery]) -> Any:
    with ctx.server.db.read() as tx:
        wanted = _wanted(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: history(
                ctx, partial(decisions.page, tx, limit=limit, before=before), wanted, limit
            ),
            lambda found: [decision_answer(each) for each in found],
        )


def _wanted(ctx: ApiContext[Empty, DecisionsQuery], tx: Tx) -> dict[str, object]:
    query = ctx.query
    wanted: dict[str, object] = {"since": query.since, "build_id": query.build}
    wanted |= history_wanted(ctx, tx, query.project, query.job)
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
        answer=Page[DecisionAnswer],
    ),
)
