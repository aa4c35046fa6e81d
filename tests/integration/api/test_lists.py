"""Lists of the API: filters, and pages that go on where few were found."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.store import lists, runs
from tests.support.api import Caller
from tests.support.clock import START

JOB = {"name": "tool", "source": {"type": "image", "image": "registry.example.com/acme/tool:1"}}
RUNS = "/projects/acme/jobs/tool/runs"


@pytest.fixture
def ran(admin: Caller) -> list[int]:
    """The ids of thirty runs, oldest first, of which the first and the last but one are cancelled."""
    admin.made("/projects/acme/jobs", JOB)
    ids = [admin.made(RUNS)["id"] for _ in range(30)]
    for each in (ids[0], ids[-2]):
        admin.made(f"/runs/{each}/cancel")
    return ids


def test_runs_are_filtered_by_what_they_are(admin: Caller, ran: list[int]) -> None:
    for path in ("/runs", RUNS):
        cancelled = admin.got(path, status="cancelled")
        assert [each["id"] for each in cancelled["items"]] == [ran[-2], ran[0]]
        assert len(admin.got(path, status="queued", trigger="api", limit=100)["items"]) == 28
        assert admin.got(path, trigger="schedule")["items"] == []
        assert admin.got(path, branch="main")["items"] == []
        later = (START + timedelta(days=1)).isoformat()
        assert admin.got(path, since=later)["items"] == []
        assert len(admin.got(path, until=later, limit=100)["items"]) == 30


def test_a_page_that_found_few_has_a_cursor_to_go_on(
    admin: Caller, ran: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "LOOKED_AT", 10)
    found, cursor, pages = [], {}, 0
    while True:
        page = admin.got(RUNS, status="cancelled", **cursor)
        found += [each["id"] for each in page["items"]]
        pages += 1
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert (found, pages) == ([ran[-2], ran[0]], 4)


def test_builds_and_decisions_are_filtered_too(admin: Caller, ran: list[int]) -> None:
    assert admin.got("/builds", status="failed", project="acme", job="tool") == {"items": [], "next": None}
    said = admin.got("/decisions", verdict="cancelled", event="manual", project="acme")["items"]
    with admin.context.db.read() as tx:
        names = [runs.with_id(tx, each).name for each in (ran[-2], ran[0])]
    assert sorted(each["inputs"]["run"] for each in said) == sorted(names)
    assert admin.got("/decisions", run=names[0], verdict="started")["items"][0]["run"] == ran[-2]
    assert admin.got("/decisions", run=names[0], verdict="missed")["items"] == []
