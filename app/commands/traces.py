"""What is stored of something that is over, as spans."""

from __future__ import annotations

from collections.abc import Iterator

from app.domain.traces import Span, Traced, TracedSpan, delivery_above, of_build, of_decision, of_run, span_id
from app.store import builds, decisions, deliveries, run_attempts, runs, traces
from app.store.database import Tx
from app.store.deliveries import Delivery


def spans_of(tx: Tx, kind: Traced, row_id: int) -> Iterator[TracedSpan]:
    """Yield the spans of a row that is over. Raises JobyardError if it is gone, or can't be read."""
    spans = list(_spans_of(tx, kind, row_id))
    trace = _first_above(tx, spans[0].id) if spans else ""
    return (TracedSpan(span, trace) for span in spans)


def _of_delivery(delivery: Delivery) -> Iterator[Span]:
    if delivery.processed_at is None:  # it is processed once more
        return
    told = {
        "jobyard.forge": delivery.forge,
        "jobyard.event": delivery.event,
        "jobyard.delivery": delivery.event_id,
        "jobyard.status": delivery.status,
        "vcs.repository.name": delivery.repository,
        "vcs.ref.head.name": delivery.ref,
        "vcs.ref.head.revision": delivery.sha,
    }
    id_ = span_id(Traced.DELIVERY, delivery.event_id)
    above = delivery_above(delivery.event_id)
    failed = delivery.status if delivery.status == "failed" else None
    yield Span(id_, "delivery", delivery.received_at, delivery.processed_at, above, told, failed)


def _spans_of(tx: Tx, kind: Traced, row_id: int) -> Iterator[Span]:
    parent = None if kind is Traced.DELIVERY else traces.above(tx, span_id(kind, row_id))
    match kind:
        case Traced.DELIVERY:
            yield from _of_delivery(deliveries.with_id(tx, row_id))
        case Traced.DECISION:
            yield of_decision(decisions.with_id(tx, row_id), parent)
        case Traced.BUILD:
            yield from of_build(builds.with_id(tx, row_id), parent)
        case Traced.RUN:
            attempts = run_attempts.attempts_of(tx, row_id)
            tried = [(each, run_attempts.containers_of(tx, each.id)) for each in attempts]
            yield from of_run(runs.with_id(tx, row_id), tried, parent)


def _first_above(tx: Tx, span: str) -> str:
    parent = traces.above(tx, span)
    return span if parent is None else _first_above(tx, parent)
