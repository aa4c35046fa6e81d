"""Searching logs through the API: the whole of a run, or a build, in bounded steps."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.redaction import Redactor
from app.domain.runs import Outcome, Reason
from app.logs import Stream
from tests.support.api import Caller, attempt_ends

JOBS = "/projects/acme/jobs"
FAILED = Outcome(Reason.EXIT_NONZERO, 1, "The process ended with 1.")


@pytest.fixture
def twice(admin: Caller) -> Caller:
    """A run with two attempts: two instances in the first, one in the second."""
    image = {"type": "image", "image": "busybox"}
    admin.made(JOBS, {"name": "twice", "source": image, "retry_limit": 1, "retry_backoff": "none"})
    admin.made(f"{JOBS}/twice/runs")
    context = admin.context
    attempt_ends(context, FAILED)
    attempt_ends(context, Outcome(None, 0))
    now = context.clock.now()
    with context.log_storage.write_attempt(1, 1, Redactor([])) as writer:
        writer.write(now, Stream.STDOUT, b"Loading one\n")
        writer.write(now, Stream.STDERR, b"\x1b[31mERROR\x1b[0m loading failed\n", 1)
        writer.note(now, "Loading ended.")
    with context.log_storage.write_attempt(1, 2, Redactor([])) as writer:
        writer.write(now, Stream.STDOUT, b"fine\nloading two\n")
    return admin


def lines(answer: Any) -> list[tuple[int, int, int]]:
    return [(each["attempt"], each["line"], each["offset"]) for each in answer["matches"]]


def test_all_attempts_instances_and_streams_are_searched(twice: Caller) -> None:
    answer = twice.get("/runs/1/logs/search?q=loading").json()
    assert lines(answer) == [(1, 1, 0), (1, 2, 12), (1, 3, 42), (2, 2, 5)]
    assert answer["complete"] is True
    assert answer["matches"][1] == {
        "attempt": 1,
        "line": 2,
        "offset": 12,
        "at": "2026-01-31T12:00:00Z",
        "stream": "stderr",
        "instance": 1,
        "text": "ERROR loading failed",
    }
    assert answer["matches"][2]["instance"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=Loading&exact_case=true", [(1, 1, 0), (1, 3, 42)]),
        ("q=loading&attempt=2", [(2, 2, 5)]),
        ("q=loading&instance=1", [(1, 2, 12)]),
        ("q=loading&stream=stdout", [(1, 1, 0), (2, 2, 5)]),
        ("q=%5B31m", []),
        ("q=error%20loading", [(1, 2, 12)]),
        ("errors=true", [(1, 2, 12)]),
    ],
)
def test_a_search_is_of_what_was_asked_for(
    twice: Caller, query: str, found: list[tuple[int, int, int]]
) -> None:
    assert lines(twice.get(f"/runs/1/logs/search?{query}").json()) == found


def test_a_search_goes_on_where_it_stopped(twice: Caller) -> None:
    found, after, requests = [], "", 0
    while True:
        answer = twice.get(f"/runs/twice-00001/logs/search?q=loading&limit=1{after}").json()
        found += lines(answer)
        requests += 1
        if answer["complete"]:
            break
        after = f"&after={answer['next']}"
    assert found == [(1, 1, 0), (1, 2, 12), (1, 3, 42), (2, 2, 5)]
    assert requests <= 6


def test_a_run_without_an_attempt_has_nothing_to_find(admin: Caller) -> None:
    image = {"type": "image", "image": "busybox"}
    admin.made(JOBS, {"name": "waiting", "source": image})
    admin.made(f"{JOBS}/waiting/runs")
    assert admin.get("/runs/1/logs/search?q=x").json() == {"matches": [], "next": "1:0:1", "complete": True}


def test_of_a_long_line_the_part_around_what_was_found_is_shown(twice: Caller) -> None:
    with twice.context.log_storage.write_attempt(1, 2, Redactor([])) as writer:
        writer.write(twice.context.clock.now(), Stream.STDOUT, b"x" * 5000 + b"NEEDLE" + b"y" * 5000)
    [match] = twice.get("/runs/1/logs/search?q=needle").json()["matches"]
    assert match["text"] == f"…{'x' * 100}NEEDLE{'y' * 194}…"


def test_a_builds_log_is_searched_likewise(admin: Caller) -> None:
    admin.made(JOBS, {"name": "report", "source": {"type": "git", "git": {"url": "https://example.com/a/b"}}})
    admin.made(f"{JOBS}/report/builds")
    with admin.context.log_storage.write_build(1, Redactor(["hunter22"])) as writer:
        writer.write(
            admin.context.clock.now(), Stream.STDOUT, b"Step 1\nlogin hunter22\nerror: no such file\n"
        )
    assert lines(admin.get("/builds/1/logs/search?errors=true").json()) == [(None, 3, 17)]
    assert admin.get("/builds/1/logs/search?q=hunter22").json()["matches"] == []  # secrets are not in the log
    assert lines(admin.get("/builds/1/logs/search?q=%2A%2A%2A").json()) == [(None, 2, 7)]


def test_of_a_builds_log_its_own_lines_can_be_had_alone(admin: Caller) -> None:
    admin.made(JOBS, {"name": "report", "source": {"type": "git", "git": {"url": "https://example.com/a/b"}}})
    admin.made(f"{JOBS}/report/builds")
    now = admin.context.clock.now()
    with admin.context.log_storage.write_build(1, Redactor([])) as writer:
        writer.note(now, "Fetching main")
        writer.write(now, Stream.STDOUT, b"Step 1 of main\n")
    whole = admin.got("/builds/1/logs/search", q="main")["matches"]
    steps = admin.got("/builds/1/logs/search", q="main", stream="stdout")["matches"]
    assert [each["text"] for each in whole] == ["Fetching main", "Step 1 of main"]
    assert steps == whole[1:]
    assert admin.get("/builds/1/logs?stream=stdout").text == "Step 1 of main\n"
    assert admin.get("/builds/1/logs?stream=stderr").status_code == 422


@pytest.mark.parametrize(
    ("query", "field", "sentence"),
    [
        ("", "q", "q must be the text to look for, unless errors=true asks for lines with errors."),
        ("q=a&errors=true", "q", "q and errors=true exclude each other: leave one of them out."),
        ("q=a&after=x", "after", "after must be what an earlier answer of this search gave as next."),
        (
            "q=a&after=1:9999999999999999999:1",
            "after",
            "after must be what an earlier answer of this search gave as next.",
        ),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(
    twice: Caller, query: str, field: str, sentence: str
) -> None:
    answer = twice.get(f"/runs/1/logs/search?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": field, "message": sentence}]


def test_an_attempt_that_is_not_there_is_said(twice: Caller) -> None:
    answer = twice.get("/runs/1/logs/search?q=a&attempt=3")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "Run twice-00001 has no attempt 3: it has 2."
