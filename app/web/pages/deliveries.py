"""`/deliveries`: every webhook call, what was decided because of it, and the button that replays it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.responses import Response
from starlette.routing import Route

from app.commands.approvals import approve_pull_request, may_be_approved
from app.domain.decisions import Decision
from app.domain.errors import Conflict
from app.domain.events import PULL_REQUEST, PUSH
from app.domain.principals import Right
from app.store import deliveries, overview
from app.store.deliveries import Delivery
from app.web.pages.context import PageContext, get, post, see
from app.web.reach import require_all_of, scopes_within
from app.web.scope import delivery_of

DELIVERIES = 50


def show_deliveries(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        scopes = scopes_within(ctx, tx)
        found = deliveries.page(tx, DELIVERIES + 1, ctx.number("before"), scopes=scopes)
        listed = found[:DELIVERIES]
        caused = overview.decisions_of_deliveries(tx, listed, ctx.projects)
        rejected = deliveries.rejected(tx) + ctx.server.inbox.rejected
    return ctx.page(
        "deliveries.html",
        deliveries=listed,
        caused=caused,
        to_approve=_to_approve(listed, caused),
        rejected=rejected,
        webhook_url=f"{ctx.address}/webhooks/github",
        more=found[DELIVERIES - 1].id if len(found) > DELIVERIES else None,
    )


def replay(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        delivery = delivery_of(ctx, tx)
        require_all_of(ctx, tx, delivery)
        require_push(delivery)
        deliveries.reopen(tx, delivery.id)
    return see("/deliveries")


def approve(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        delivery = delivery_of(ctx, tx)
        require_all_of(ctx, tx, delivery)
        approve_pull_request(tx, delivery, ctx.who)
    return see("/deliveries")


def _to_approve(found: Sequence[Delivery], caused: Mapping[str, Sequence[Decision]]) -> frozenset[int]:
    """The ids of deliveries of which a decision waits for an approval."""
    return frozenset(
        each.id
        for each in found
        if may_be_approved(each) and any(decision.rule == "fork" for decision in caused[each.guid])
    )


def require_push(delivery: Delivery) -> None:
    """Raises Conflict for what can't be processed once more, be it only as a rehearsal."""
    if delivery.status not in ("processed", "failed"):
        raise Conflict(f"Delivery {delivery.guid} can't be replayed: {_why_not(delivery)}.")


def _why_not(delivery: Delivery) -> str:
    match delivery.status:
        case "received":
            return "it is not processed yet"
        case _ if delivery.event in (PUSH, PULL_REQUEST):
            return "no job or build service had its repository"
        case _:
            return "it was no push"


def routes() -> list[Route]:
    return [
        get("/deliveries", show_deliveries),
        post("/deliveries/{forge}/{guid}/replay", replay, Right.RUN),
        post("/deliveries/{forge}/{guid}/approve", approve, Right.RUN),
    ]
