"""Deliveries: what forges sent, and what came of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from app.commands.approvals import approve_pull_request
from app.domain.principals import Right
from app.store import decisions, deliveries
from app.store.deliveries import Delivery
from app.web.api.lists import paged
from app.web.api.operations import ApiContext, Operation
from app.web.reach import delivery_called, newest, require_all_of, scopes_within
from app.web.schemas.base import Empty, Model, Page, Paging
from app.web.schemas.decision import DecisionAnswer, decision_answer
from app.web.schemas.fields import Time

Status = Literal["received", "processed", "ignored", "failed"]


class DeliveryAnswer(Model):
    id: str
    forge: str
    event: str
    status: Status
    repository: str
    ref: str
    sha: str
    sentence: str
    tries: int
    replays: int
    approved_by: str | None = Field(description="who let the commit of a fork's pull request be built")
    received_at: Time
    processed_at: Time | None


class DeliveryWithDecisions(DeliveryAnswer):
    decisions: list[DecisionAnswer]


def list_deliveries(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        scopes = scopes_within(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: deliveries.page(tx, limit, before, scopes=scopes),
            lambda found: [_answer(each) for each in found],
        )


def show_delivery(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        delivery = delivery_called(ctx, tx, ctx.path("id"))
        found = newest(
            ctx,
            lambda project_id: decisions.page(
                tx, limit=500, pushes=delivery.event_ids, project_id=project_id
            ),
            500,
        )
    return DeliveryWithDecisions(
        **vars(_answer(delivery)), decisions=[decision_answer(each) for each in found]
    )


def replay_delivery(ctx: ApiContext[Empty, Empty]) -> Any:
    """Process it once more; decisions of the replay are new ones, and movements of the branch stay as they were."""
    with ctx.server.db.write() as tx:
        delivery = delivery_called(ctx, tx, ctx.path("id"))
        require_all_of(ctx, tx, delivery)
        deliveries.reopen(tx, delivery.id)
        return _answer(deliveries.find(tx, delivery.guid, delivery.forge))


def approve_delivery(ctx: ApiContext[Empty, Empty]) -> Any:
    """Let the commit of a fork be built that the pull request has in this delivery; a later one needs another."""
    with ctx.server.db.write() as tx:
        delivery = delivery_called(ctx, tx, ctx.path("id"))
        require_all_of(ctx, tx, delivery)
        approve_pull_request(tx, delivery, ctx.who)
        return _answer(deliveries.find(tx, delivery.guid, delivery.forge))


def _answer(delivery: Delivery) -> DeliveryAnswer:
    fields = {name: getattr(delivery, name) for name in DeliveryAnswer.model_fields if name != "id"}
    return DeliveryAnswer(id=delivery.guid, **fields)


PATH = "/deliveries"
OPERATIONS = (
    Operation("GET", PATH, "List deliveries", list_deliveries, query=Paging, answer=Page[DeliveryAnswer]),
    Operation("GET", PATH + "/{id}", "Show a delivery", show_delivery, answer=DeliveryWithDecisions),
    Operation(
        "POST",
        PATH + "/{id}/replay",
        "Process a delivery once more",
        replay_delivery,
        Right.RUN,
        answer=DeliveryAnswer,
        status=202,
    ),
    Operation(
        "POST",
        PATH + "/{id}/approve",
        "Approve a fork's pull request",
        approve_delivery,
        Right.RUN,
        answer=DeliveryAnswer,
        status=202,
    ),
)
