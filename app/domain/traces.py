"""Traces: what became of a push, as spans.

    delivery ─▶ decision
        └─────▶ build [checkout, plan, image, push] ─▶ decision ─▶ run ─▶ attempt [start, log, end]

What a span is called follows from the row that it is about, and its ids from that. So they need not be handed on: a
server that is killed takes nothing of a trace along, and another one goes on with it.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.domain.builds import Build
from app.domain.decisions import Decision
from app.domain.errors import TransientError, UserError
from app.domain.runs import Attempt, Container, Run

Attributes = Mapping[str, str | int]


class NotCollected(TransientError):
    """Who collects spans did not take them, and may do so later."""


class Refused(UserError):
    """Who collects spans takes them neither now nor later."""


class Traced(enum.StrEnum):
    """What there are spans of; each is told of when it is over."""

    DELIVERY = "delivery"
    BUILD = "build"
    DECISION = "decision"
    RUN = "run"


@dataclass(frozen=True)
class Span:
    """`name` is one of a few words; `id` tells it from all others of an installation, `parent` is another's.

    `reason` is a word, too, and set if it failed.
    """

    id: str
    name: str
    began_at: datetime
    ended_at: datetime
    parent: str | None = None
    attributes: Attributes = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class TracedSpan:
    """A span, and the first one of its trace."""

    span: Span
    trace: str


def span_id(kind: Traced, key: str | int) -> str:
    """Return how the span about something is known; a delivery's key is an event id, any other's the row's id."""
    return f"{kind}/{key}"


def delivery_above(event_id: str) -> str | None:
    """Return the span that a replay belongs to: that of the first processing."""
    first, _, replay = event_id.partition("~")
    return span_id(Traced.DELIVERY, first) if replay else None


def trace_number(installation: str, first_span: str) -> int:
    """Return the id of a trace: 128 bits, never 0. `installation` is like no other's, and another in each epoch."""
    return _number(f"trace of {installation}/{first_span}", 16)


def span_number(installation: str, span: str) -> int:
    """Return the id of a span: 64 bits, never 0."""
    return _number(f"{installation}/{span}", 8)


def _number(text: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size]) or 1


def of_decision(decision: Decision, parent: str | None) -> Span:
    told: dict[str, str | int] = {
        "jobyard.project": decision.project,
        "jobyard.decision.verdict": decision.verdict,
        "jobyard.decision.rule": decision.rule,
    }
    if decision.job is not None:
        told["jobyard.job"] = decision.job
    return Span(span_id(Traced.DECISION, decision.id), "decision", decision.at, decision.at, parent, told)


def of_build(build: Build, parent: str | None) -> Iterator[Span]:
    """A build that is over: the last try's phases are in it."""
    if build.finished_at is None:
        return
    id_ = span_id(Traced.BUILD, build.id)
    told: dict[str, str | int] = {
        "jobyard.project": build.project,
        "jobyard.build": build.id,
        "jobyard.status": build.status,
        "vcs.ref.head.name": build.ref,
        "vcs.ref.head.revision": build.sha or "",
    }
    yield Span(id_, "build", build.created_at, build.finished_at, parent, told, build.reason)
    for phase in build.phases:
        began_at = (build.started_at or build.created_at) + timedelta(seconds=phase.started)
        ended_at = began_at + timedelta(seconds=phase.duration)
        yield Span(f"{id_}/{phase.name}", phase.name, began_at, ended_at, id_)


def of_run(
    run: Run, attempts: Iterable[tuple[Attempt, Sequence[Container]]], parent: str | None
) -> Iterator[Span]:
    """A run that is over, with all it has tried."""
    if run.finished_at is None:
        return
    id_ = span_id(Traced.RUN, run.id)
    told: dict[str, str | int] = {
        "jobyard.project": run.project,
        "jobyard.job": run.job,
        "jobyard.run": run.name,
        "jobyard.trigger": run.trigger.type,
        "jobyard.status": run.status,
    }
    yield Span(id_, "run", run.created_at, run.finished_at, parent, told, run.reason)
    for attempt, containers in attempts:
        yield from _of_attempt(attempt, containers, id_, attempt.finished_at or run.finished_at)


def _of_attempt(
    attempt: Attempt, containers: Sequence[Container], run: str, ended_at: datetime
) -> Iterator[Span]:
    id_ = f"{run}/{attempt.number}"
    told: dict[str, str | int] = {"jobyard.attempt": attempt.number, "jobyard.status": attempt.status}
    yield Span(id_, "attempt", attempt.created_at, ended_at, run, told, attempt.reason)
    yield Span(f"{id_}/start", "start", attempt.created_at, attempt.started_at or ended_at, id_)
    for each in containers:
        if each.started_at is not None:
            which = {"jobyard.instance": each.instance}
            over_at = each.finished_at or ended_at
            yield Span(f"{id_}/log/{each.instance}", "log", each.started_at, over_at, id_, which)
    if attempt.started_at is not None:
        over_at = max((each.finished_at or ended_at for each in containers), default=ended_at)
        yield Span(f"{id_}/end", "end", over_at, ended_at, id_)
