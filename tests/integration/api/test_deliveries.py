"""Deliveries and decisions through the API."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.decisions import EventType, Verdict
from app.store import decisions, deliveries
from app.store.deliveries import NewDelivery
from tests.support.api import Caller

JOBS = "/projects/acme/jobs"


@pytest.fixture
def delivered(admin: Caller) -> Caller:
    """Three deliveries; the first was processed, with a decision for the job."""
    admin.made(JOBS, {"name": "report"})
    now = admin.context.clock.now()
    for guid in ("d1", "d2", "d3"):
        new = NewDelivery("github", guid, "push", False, ("project:1",), b"{}", "acme/report", now)
        deliveries.record(admin.context.db, [new])
    with admin.context.db.write() as tx:
        _decide(admin, tx, "d1")
        deliveries.settle(
            tx, 1, "processed", "1 of 1 source built, 1 job decided.", now, ref="refs/heads/main"
        )
    return admin


def _decide(admin: Caller, tx: Any, event_id: str) -> None:
    decisions.record(
        tx,
        at=admin.context.clock.now(),
        event=(EventType.PUSH, event_id),
        project_id=1,
        job_id=1,
        verdict=Verdict.SKIPPED,
        rule="ci_off",
        sentence="CI is off: turn it on to build pushes.",
        inputs={"ci_enabled": False},
    )


def test_a_delivery_is_shown_with_its_decisions(delivered: Caller) -> None:
    delivery = delivered.got("/deliveries/d1")
    told = delivery.pop("decisions")
    assert delivery == {
        "id": "d1",
        "forge": "github",
        "event": "push",
        "status": "processed",
        "repository": "acme/report",
        "ref": "refs/heads/main",
        "sha": "",
        "sentence": "1 of 1 source built, 1 job decided.",
        "tries": 0,
        "replays": 0,
        "approved_by": None,
        "received_at": "2026-01-31T12:00:00Z",
        "processed_at": "2026-01-31T12:00:00Z",
    }
    assert told == [
        {
            "id": 1,
            "at": "2026-01-31T12:00:00Z",
            "event": {"type": "push", "id": "d1"},
            "project": "acme",
            "job": "report",
            "verdict": "skipped",
            "rule": "ci_off",
            "sentence": "CI is off: turn it on to build pushes.",
            "inputs": {"ci_enabled": False},
            "build": None,
            "run": None,
            "deployment": None,
        }
    ]


def test_deliveries_are_listed_newest_first(delivered: Caller) -> None:
    first = delivered.got("/deliveries", limit=2)
    rest = delivered.got("/deliveries", limit=2, cursor=first["next"])
    assert [[each["id"] for each in page["items"]] for page in (first, rest)] == [["d3", "d2"], ["d1"]]


def test_a_project_lists_its_own_deliveries_across_pages_of_others(delivered: Caller) -> None:
    delivered.made("/projects", {"name": "beside"})
    now = delivered.context.clock.now()
    for number in range(5):
        scope = "project:2" if number % 2 else "project:1"
        new = NewDelivery("github", f"e{number}", "push", False, (scope,), b"{}", "x", now)
        deliveries.record(delivered.context.db, [new])
    beside = delivered.with_token("viewer", "beside")
    first = beside.got("/deliveries", limit=1)
    rest = beside.got("/deliveries", limit=1, cursor=first["next"])
    assert [[each["id"] for each in page["items"]] for page in (first, rest)] == [["e3"], ["e1"]]
    assert rest["next"] is None


def test_a_replay_is_processed_again_and_its_decisions_are_its_own(delivered: Caller) -> None:
    again = delivered.post("/deliveries/d1/replay")
    assert again.status_code == 202
    assert (again.json()["status"], again.json()["replays"]) == ("received", 1)
    with delivered.context.db.write() as tx:
        _decide(delivered, tx, "d1~1")
    told = delivered.got("/decisions", delivery="d1")["items"]
    assert [each["event"]["id"] for each in told] == ["d1~1", "d1"]
    assert [each["event"]["id"] for each in delivered.got("/deliveries/d1")["decisions"]] == ["d1~1", "d1"]


def test_decisions_are_filtered_by_everything_given(delivered: Caller) -> None:
    assert len(delivered.got("/decisions", project="acme", job="report")["items"]) == 1
    assert delivered.got("/decisions", since="2026-01-31T13:00:00+00:00")["items"] == []
    assert len(delivered.got("/decisions", since="2026-01-31T13:00:00+02:00")["items"]) == 1
    assert delivered.get("/decisions?job=report").json()["errors"][0]["field"] == "project"
    for query in ("project=nobody", "project=acme&job=nobody", "delivery=nobody", "run=nobody"):
        assert delivered.get(f"/decisions?{query}").status_code == 404


def test_there_is_no_delivery_that_never_came(admin: Caller) -> None:
    assert admin.get("/deliveries/nobody").status_code == 404
    assert admin.post("/deliveries/nobody/replay").status_code == 404
