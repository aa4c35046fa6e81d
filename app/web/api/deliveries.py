"""Deliveries: what forges sent, and what came of it."""

from __future__ import annotations

from typing import Any, Literal

from app.domain.principals import Role
from app.store import decisions, deliveries
from app.store.deliveries import Delivery
from app.web.api.operations import ApiContext, Operation
from app.web.api.scope import delivery_called, paged, scopes_of
from app.web.problems import Problem
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
    received_at: Time
    processed_at: Time | None


class DeliveryWithDecisions(DeliveryAnswer):
    decisions: list[DecisionAnswer]


def list_deliveries(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        scopes = None if ctx.principal.project_id is None else scopes_of(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: deliveries.page(tx, limit, before, scopes=scopes),
            lambda found: [DeliveryAnswer(**_fields(each)) for each in found],
        )


def show_delivery(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        delivery = delivery_called(ctx, tx, ctx.path("id"))
        found = decisions.page(tx, limit=500, pushes=delivery.event_ids, project_id=ctx.principal.project_id)
    return DeliveryWithDecisions(**_fields(delivery), decisions=[decision_answer(each) for each in found])


def replay_delivery(ctx: ApiContext[Empty, Empty]) -> Any:
    """Process it once more; decisions of the replay are new ones, and movements of the branch stay as they were."""
    with ctx.server.db.write() as tx:
        delivery = delivery_called(ctx, tx, ctx.path("id"))
        if ctx.principal.project_id is not None and not scopes_of(ctx, tx).issuperset(delivery.scopes):
            raise Problem(403, "This delivery is for other projects too: replaying it needs a token for all.")
        deliveries.reopen(tx, delivery.id)
        return DeliveryAnswer(**_fields(deliveries.find(tx, delivery.guid, delivery.forge)))


def _fields(delivery: Delivery) -> dict[str, Any]:
    return {"id": delivery.guid} | {
        name: getattr(delivery, name) for name in DeliveryAnswer.model_fields if name != "id"
    }


PATH = "/deliveries"
OPERATIONS = (
    Operation("GET", PATH, "List deliveries", list_deliveries, query=Paging, answer=Page[DeliveryAnswer]),
    Operation("GET", PATH + "/{id}", "Show a delivery", show_delivery, answer=DeliveryWithDecisions),
    Operation(
        "POST",
        PATH + "/{id}/replay",
        "Process a delivery once more",
        replay_delivery,
        Role.OPERATOR,
        answer=DeliveryAnswer,
        status=202,
    ),
)
