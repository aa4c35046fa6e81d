"""Spans on their way to a collector, by OpenTelemetry's own exporter: where to, and how, is in its variables."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from app.domain.traces import NotCollected, Refused, TracedSpan, span_number, trace_number

REFUSALS = (400, 413)
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
SENT_AGAIN = "traces are kept and sent again"
logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # who sends tells of failures


class Collector:
    """Sends one batch after the other. For one thread."""

    def __init__(self, installation: str) -> None:
        self._installation = installation
        self._ids, self._ended = _Ids(), _Ended()
        session = requests.Session()
        session.hooks["response"].append(self._answered)
        self._exporter = OTLPSpanExporter(session=session)
        own = Resource({SERVICE_NAME: "jobyard"}).merge(OTELResourceDetector().detect())
        provider = TracerProvider(
            sampler=ALWAYS_ON, resource=own, id_generator=self._ids, shutdown_on_exit=False
        )
        provider.add_span_processor(self._ended)
        self._tracer = provider.get_tracer("jobyard")
        self._status: int | None = None

    def send(self, spans: Sequence[TracedSpan]) -> None:
        """Raises NotCollected or Refused."""
        self._status = None
        if self._exporter.export([self._made(each) for each in spans]) is SpanExportResult.SUCCESS:
            return
        if self._status in REFUSALS:
            raise Refused(f"The collector of traces answered {self._status}: what it was sent is left out.")
        said = "gave no answer" if self._status is None else f"answered {self._status}"
        raise NotCollected(f"The collector of traces {said} (see OTEL_EXPORTER_OTLP_ENDPOINT): {SENT_AGAIN}.")

    def _answered(self, answer: requests.Response, **_: object) -> None:
        self._status = answer.status_code

    def _made(self, traced: TracedSpan) -> ReadableSpan:
        span, trace = traced.span, trace_number(self._installation, traced.trace)
        self._ids.trace, self._ids.span = trace, span_number(self._installation, span.id)
        context = None
        if span.parent is not None:
            above = SpanContext(trace, span_number(self._installation, span.parent), True, SAMPLED)
            context = set_span_in_context(NonRecordingSpan(above))
        begun = self._tracer.start_span(
            span.name, context, attributes=span.attributes, start_time=_nanoseconds(span.began_at)
        )
        if span.reason is not None:
            begun.set_status(StatusCode.ERROR, span.reason)
        begun.end(_nanoseconds(max(span.began_at, span.ended_at)))
        return self._ended.last


class _Ids(IdGenerator):
    """The ids of the span that begins next."""

    trace = span = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


class _Ended(SpanProcessor):
    """The span that ended last."""

    last: ReadableSpan

    def on_end(self, span: ReadableSpan) -> None:
        self.last = span


def _nanoseconds(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND * 1000
