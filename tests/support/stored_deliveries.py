"""Deliveries as the store is given and gives them."""

from __future__ import annotations

from datetime import datetime

from app.store import deliveries
from app.store.database import Tx
from app.store.deliveries import Delivery, NewDelivery
from tests.support.stored import NOW


def delivery(guid: str, body: bytes = b"{}", lane: str = "1:github.com/acme/report") -> NewDelivery:
    return NewDelivery("github", guid, "push", False, ("project:1",), body, "acme/report", NOW, lane)


def claimed(tx: Tx, now: datetime = NOW, owner: str = "one", *, asks_git: bool = False) -> Delivery | None:
    """The next delivery, if there is one."""
    found = deliveries.next_waiting(tx, now, asks_git=asks_git)
    return deliveries.claim(tx, found[0][0], owner) if found else None
