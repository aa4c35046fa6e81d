"""Approvals of pull requests that come from forks."""

from __future__ import annotations

from app.domain.errors import Conflict
from app.domain.events import PULL_REQUEST
from app.store import deliveries
from app.store.database import Tx
from app.store.deliveries import Delivery


def may_be_approved(delivery: Delivery) -> bool:
    """Return whether a delivery tells of a pull request that was decided without an approval."""
    is_decided = delivery.status == "processed" and delivery.approved_by is None
    return delivery.event == PULL_REQUEST and is_decided


def approve_pull_request(tx: Tx, delivery: Delivery, who: str) -> None:
    """Let the commit be built that a delivery tells of, and no later one of its pull request.

    Raises Conflict for a delivery that there is nothing to approve of.
    """
    if not may_be_approved(delivery):
        why = (
            "it is approved already"
            if delivery.approved_by
            else "it tells of no pull request that was decided"
        )
        raise Conflict(f"Delivery {delivery.guid} can't be approved: {why}.")
    deliveries.approve(tx, delivery.id, who)
