"""Spans on their way to a collector: their ids, and what a collector answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.traces import NotCollected, Refused, Span, TracedSpan
from app.otlp import Collector
from tests.support.collector import Collected, collector

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
BUILD = Span(
    "build/1", "build", NOW, NOW + timedelta(seconds=2), "delivery/a", {"jobyard.build": 1}, "time_limit"
)


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collected]:
    with collector() as each:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", each.url)
        yield each


def test_whoever_tells_the_same_gives_it_the_same_ids(collected: Collected) -> None:
    for installation in ("one", "one", "other"):
        Collector(installation).send([TracedSpan(BUILD, "delivery/a")])
    ids = {(span.trace_id, span.span_id, span.parent_span_id) for span in collected.spans}
    assert len(collected.bodies) == 3
    assert len(ids) == 2


def test_a_failure_has_its_reason_and_times_are_whole(collected: Collected) -> None:
    Collector("one").send([TracedSpan(BUILD, "delivery/a")])
    [span] = collected.spans
    assert (span.status.code, span.status.message) == (2, "time_limit")
    assert span.end_time_unix_nano - span.start_time_unix_nano == 2_000_000_000
    assert span.start_time_unix_nano == int(NOW.timestamp()) * 10**9


def test_a_clock_that_was_set_back_makes_no_span_end_before_it_begins(collected: Collected) -> None:
    Collector("one").send([TracedSpan(replace(BUILD, ended_at=NOW - timedelta(hours=1)), "delivery/a")])
    [span] = collected.spans
    assert span.start_time_unix_nano == span.end_time_unix_nano


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (
            401,
            NotCollected,
            "The collector of traces answered 401 (see OTEL_EXPORTER_OTLP_ENDPOINT): traces are kept and sent again.",
        ),
        (400, Refused, "The collector of traces answered 400: what it was sent is left out."),
    ],
)
def test_what_it_answers_is_said(
    status: int, error: type[Exception], sentence: str, collected: Collected
) -> None:
    collected.status = status
    with pytest.raises(error) as raised:
        Collector("one").send([TracedSpan(BUILD, "delivery/a")])
    assert str(raised.value) == sentence


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "no address at all"])
def test_one_that_is_not_there_gives_no_answer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with pytest.raises(NotCollected, match="gave no answer"):
        Collector("one").send([TracedSpan(BUILD, "delivery/a")])
