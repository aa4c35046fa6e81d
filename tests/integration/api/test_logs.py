"""Logs through the API: from any byte, and followed while they grow."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.domain.redaction import Redactor
from app.domain.runs import Outcome, Reason, conclude
from app.logs import LogWriter, Stream
from app.store import run_attempts, runs
from app.web import live
from app.web.server_context import ServerContext
from tests.support.api import Caller, attempt_ends

JOBS = "/projects/acme/jobs"
FOLLOW = {"Accept": "text/event-stream"}
FAILED = Outcome(Reason.EXIT_NONZERO, 1, "The process ended with 1.")


@pytest.fixture
def once(admin: Caller) -> Caller:
    image = {"type": "image", "image": "busybox"}
    admin.made(JOBS, {"name": "once", "source": image, "retry_limit": 1, "retry_backoff": "none"})
    admin.made(f"{JOBS}/once/runs")
    return admin


def events(text: str) -> Iterator[tuple[str, str, str]]:
    """(event, id, data) as a browser would hand them out."""
    for block in text.split("\n\n"):
        fields: dict[str, list[str]] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        if "data" in fields:
            yield fields.get("event", ["message"])[0], fields.get("id", [""])[0], "\n".join(fields["data"])


def test_all_attempts_are_read_as_one_or_each_by_itself(once: Caller) -> None:
    attempt_ends(once.context, FAILED, b"first\n")
    attempt_ends(once.context, Outcome(None, 0), b"second\n")
    whole = once.get("/runs/1/logs")
    assert whole.text == "first\nsecond\n"
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert whole.headers["x-log-next-offset"] == "13"
    assert once.get("/runs/once-00001/logs?attempt=2").text == "second\n"
    assert once.get("/runs/1/logs?attempt=3").status_code == 404


@pytest.mark.parametrize(
    ("offset", "text"), [(0, b"\xff\r\n\x1b[31mred"), (3, b"\x1b[31mred"), (11, b""), (99, b"")]
)
def test_bytes_are_read_from_any_offset_as_they_are(once: Caller, offset: int, text: bytes) -> None:
    attempt_ends(once.context, Outcome(None, 0), b"\xff\r\n\x1b[31mred")
    answer = once.get(f"/runs/1/logs?offset={offset}")
    assert answer.content == text
    assert answer.headers["x-log-next-offset"] == "11"


def test_a_run_that_waits_has_an_empty_log(once: Caller) -> None:
    answer = once.get("/runs/1/logs")
    assert (answer.status_code, answer.text, answer.headers["x-log-next-offset"]) == (200, "", "0")


def test_a_builds_log_is_read_like_a_runs(admin: Caller) -> None:
    admin.made(JOBS, {"name": "report", "source": {"type": "git", "git": {"url": "https://example.com/a/b"}}})
    admin.made(f"{JOBS}/report/builds")
    with admin.context.log_storage.write_build(1, Redactor([])) as writer:
        writer.write(admin.context.clock.now(), Stream.STDOUT, b"Step 1\n")
    assert admin.get("/builds/1/logs").text == "Step 1\n"
    admin.made("/builds/1/cancel")
    told = list(events(admin.get("/builds/1/logs", headers=FOLLOW).text))
    assert told == [("message", "7", "Step 1\n"), ("end", "7", "")]


def test_following_what_is_over_tells_all_and_ends(once: Caller) -> None:
    attempt_ends(once.context, FAILED, b"first\n")
    attempt_ends(once.context, Outcome(None, 0), b"second")
    answer = once.get("/runs/1/logs", headers=FOLLOW)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "".join(data for _, _, data in events(answer.text)) == "first\nsecond"
    assert list(events(answer.text))[-1] == ("end", "12", "")


def test_following_goes_on_after_the_last_event(once: Caller) -> None:
    attempt_ends(once.context, Outcome(None, 0), b"first\nsecond\n")
    told = once.get("/runs/1/logs?offset=0", headers={**FOLLOW, "Last-Event-ID": "6"})
    assert list(events(told.text)) == [("message", "13", "second\n"), ("end", "13", "")]
    refused = once.get("/runs/1/logs", headers={**FOLLOW, "Last-Event-ID": "-1"})
    assert refused.status_code == 422


def test_lines_of_any_kind_arrive_whole(once: Caller) -> None:
    text = b"a\r\nb\rc\n\n\n\xe2\x82\xacd: e\ndata: f\n\xff\xe2"
    attempt_ends(once.context, Outcome(None, 0), text)
    told = "".join(data for _, _, data in events(once.get("/runs/1/logs", headers=FOLLOW).text))
    assert told == "a\nb\nc\n\n\n€d: e\ndata: f\n\ufffd\ufffd"


def test_a_growing_log_is_followed_until_the_run_is_over(once: Caller) -> None:
    context = once.context
    with context.db.write() as tx:
        run = runs.claim(tx, "tests", context.clock.now())
        assert run is not None
        attempt = run_attempts.begin_attempt(tx, run, context.clock.now())
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(once.get, "/runs/1/logs", headers=FOLLOW)
        with context.log_storage.write_attempt(1, 1, Redactor([])) as writer:
            for byte in "1 €\n2 €\n".encode():
                writer.write(context.clock.now(), Stream.STDOUT, bytes([byte]))
        outcome = Outcome(None, 0)
        with context.db.write() as tx:
            current = runs.with_id(tx, 1)
            verdict = conclude(current, outcome, context.clock.now())
            run_attempts.conclude(tx, current, attempt, outcome, verdict, context.clock.now())
        told = list(events(following.result(timeout=30).text))
    assert "".join(data for _, _, data in told) == "1 €\n2 €\n"
    assert told[-1] == ("end", "12", "")


def test_a_follower_is_woken_by_each_write_and_leaves_nothing_behind(context: ServerContext) -> None:
    """The stream itself, byte by byte: every event comes before the next byte is written."""
    writer = context.log_storage.write_attempt(7, 1, Redactor([]))
    over = threading.Event()
    log = lambda: (context.log_storage.read_run(7, 1), over.is_set())  # noqa: E731

    async def follow() -> list[tuple[str | None, str | None]]:
        stream = live.follow_log(context, "run:7", log, 0)
        told: list[tuple[str | None, str | None]] = []
        for byte in b"abc":
            await asyncio.to_thread(_write, context, writer, bytes([byte]))
            told.append(_brief(await anext(stream)))
        over.set()
        context.signals.publish(frozenset({"run:7"}))
        told += [_brief(event) async for event in stream]
        return told

    assert asyncio.run(asyncio.wait_for(follow(), 30)) == [("1", "a"), ("2", "b"), ("3", "c"), ("3", "")]
    assert len(context.signals._listeners) == 0
    writer.close()


def _write(context: ServerContext, writer: LogWriter, data: bytes) -> None:
    writer.write(context.clock.now(), Stream.STDOUT, data)


def _brief(event: Any) -> tuple[str | None, str | None]:
    return event.id, event.data


def spoken(context: ServerContext) -> None:
    """Two instances and Jobyard in the first attempt, stdout alone in the second."""
    now = context.clock.now()
    with context.log_storage.write_attempt(1, 1, Redactor([])) as writer:
        writer.write(now, Stream.STDOUT, b"one\n")
        writer.write(now, Stream.STDERR, b"oops \xe2\x82\xac\n", 1)
        writer.note(now, "Output may be missing.")
        writer.write(now, Stream.STDOUT, b"ha", 1)
        writer.write(now, Stream.STDERR, b"again\n")
        writer.write(now, Stream.STDOUT, b"lf\n", 1)
    with context.log_storage.write_attempt(1, 2, Redactor([])) as writer:
        writer.write(now, Stream.STDOUT, b"two\n")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "one\noops €\nOutput may be missing.\nhalf\nagain\ntwo\n"),
        ("instance=1", "oops €\nhalf\n"),
        ("stream=stderr", "oops €\nagain\n"),
        ("stream=stdout&attempt=2", "two\n"),
        ("instance=0&stream=stdout", "one\ntwo\n"),
        ("instance=7", ""),
        ("stream=stderr&offset=5", "ops €\nagain\n"),
    ],
)
def test_what_one_instance_or_stream_said(once: Caller, query: str, text: str) -> None:
    attempt_ends(once.context, FAILED)
    attempt_ends(once.context, Outcome(None, 0))
    spoken(once.context)
    answer = once.get(f"/runs/1/logs?{query}")
    assert answer.text == text
    assert int(answer.headers["x-log-next-offset"]) == (4 if "attempt" in query else 51)
    told = list(events(once.get(f"/runs/1/logs?{query}", headers=FOLLOW).text))
    assert "".join(data for _, _, data in told) == text
    assert told[-1][0] == "end"


def test_lines_come_as_data(once: Caller) -> None:
    attempt_ends(once.context, FAILED)
    attempt_ends(once.context, Outcome(None, 0))
    spoken(once.context)
    answer = once.get("/runs/1/logs", headers={"Accept": "application/x-ndjson"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [(line["offset"], line["stream"], line["instance"], line["text"]) for line in lines] == [
        (0, "stdout", 0, "one"),
        (4, "stderr", 1, "oops €"),
        (13, "system", None, "Output may be missing."),
        (36, "stdout", 1, "half"),
        (41, "stderr", 0, "again"),
        (47, "stdout", 0, "two"),
    ]
    assert {line["at"] for line in lines} == {"2026-01-31T12:00:00Z"}
    later = once.get("/runs/1/logs?offset=36&instance=1", headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line)["text"] for line in later.text.splitlines()] == ["half"]


@pytest.mark.parametrize(
    "query", ["instance=-1", "instance=x", "instance=100", "stream=both", "stream=system"]
)
def test_what_nobody_can_have_said_is_refused(once: Caller, query: str) -> None:
    answer = once.get(f"/runs/1/logs?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, query.partition("=")[0])


def test_changes_are_heard_once_each_and_time_passes_without(context: ServerContext) -> None:
    async def listen() -> list[frozenset[str]]:
        heard = live.changes(context, ["runs", "run:1"], every=0.01)
        told = [await anext(heard)]
        for topic in ("runs", "builds", "runs", "run:1"):
            context.signals.publish(frozenset({topic}))
        told.append(await anext(heard))
        told.append(await anext(heard))
        await heard.aclose()
        return told

    assert asyncio.run(listen()) == [frozenset(), {"runs", "run:1"}, frozenset()]


def test_a_stretch_of_bytes_is_read_by_offset_and_limit(once: Caller) -> None:
    attempt_ends(once.context, Outcome(None, 0), b"one\ntwo\nthree\n")
    part = once.get("/runs/1/logs?offset=2&limit=7")
    assert (part.content, part.headers["x-log-next-offset"]) == (b"e\ntwo\nt", "9")
    assert once.get("/runs/1/logs?offset=12&limit=99").content == b"e\n"
    lines = once.get("/runs/1/logs?offset=4&limit=1", headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line)["text"] for line in lines.text.splitlines()] == ["two"]
    refused = once.get("/runs/1/logs?limit=5", headers=FOLLOW)
    assert refused.status_code == 422
    assert refused.json()["detail"] == "limit is for what is there already; leave it out to follow a log."
    assert once.get("/runs/1/logs?limit=0").status_code == 422


def test_a_log_that_is_on_another_server_alone_is_said_to_be_there(once: Caller, tmp_path: Path) -> None:
    storage = replace(once.context.log_storage, root=tmp_path / "other", is_alone=False)
    other = Caller(replace(once.context, log_storage=storage))
    assert other.get("/runs/1/logs").status_code == 200, "it has not begun"
    attempt_ends(once.context, Outcome(None, 0), b"only here\n")
    answer = other.get("/runs/1/logs")
    assert answer.status_code == 404
    assert answer.json()["detail"] == (
        "This log is on the disk of the server that wrote it, unless it was removed: with JOBYARD_LOG_STORE set to a "
        "shared volume or a bucket, every server shows every log."
    )
    assert once.get("/runs/1/logs").text == "only here\n"
