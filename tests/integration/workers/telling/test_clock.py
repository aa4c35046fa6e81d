"""The clock is set back: nobody is told later for it, and nobody twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.notifications import Item, NotTaken, State
from app.store import notifications
from app.workers.clock_changes import ClockChanges
from tests.support.installation import Installation
from tests.support.telling import HOOK, SLACK, Told

HOUR = 3600


@pytest.fixture
def changes(place: Installation) -> ClockChanges:
    changes = ClockChanges(place.db, place.clock)
    changes.step()
    return changes


def fails(told: Told, target_id: int) -> None:
    place = told.place
    at = place.clock.now()
    item = Item("failure", State.FAILED, "report failed", "Exited with code 1.", at, "/runs/7", "report")
    with place.db.write() as tx:
        notifications.gather(tx, target_id, item, at)


def test_what_waits_to_be_sent_waits_no_longer(told: Told, changes: ClockChanges) -> None:
    ops = told.target("ops", "failure")
    fails(told, ops.id)
    told.place.clock.set_by(-HOUR)
    changes.step()
    told.tell()
    assert len(told.posts) == 1


def test_what_is_tried_again_is_tried_when_it_would_have_been(told: Told, changes: ClockChanges) -> None:
    ops = told.target("ops", "failure")
    fails(told, ops.id)
    told.faults = [NotTaken("The address answered with status 503.")]
    told.tell()
    assert told.posts == []
    told.place.clock.set_by(-HOUR)
    changes.step()
    told.tell(12)
    assert len(told.posts) == 1


@pytest.mark.parametrize(
    ("kind", "address"), [("slack", SLACK), ("email", "ada@example.com"), ("ntfy", HOOK)]
)
def test_what_is_being_sent_as_the_clock_is_set_is_sent_once(
    told: Told, changes: ClockChanges, kind: str, address: str
) -> None:
    ops = told.target("ops", "failure", kind=kind, address=address)
    fails(told, ops.id)
    sent: list[object] = []

    def send(*message: object) -> str:
        sent.append(message)
        told.place.clock.set_by(-HOUR)
        changes.step()
        return "It was taken."

    told.sending = replace(told.sending, post=send, send_mail=send)  # type: ignore[arg-type]
    told.tell()
    told.tell(HOUR)
    assert len(sent) == 1
    (delivery,) = told.deliveries(ops)
    assert delivery.status == "sent"
