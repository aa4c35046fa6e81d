"""Whether traces are sent. The variables are OpenTelemetry's own, and all others are read by its exporter."""

from __future__ import annotations

import os
from importlib.util import find_spec

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN = "http/protobuf"


def endpoint_variable() -> str | None:
    """Return which variable says where traces go; None where they go nowhere."""
    return next((name for name in ENDPOINTS if os.environ.get(name)), None)


def hindrance() -> str:
    """Say in a sentence why no traces are sent although a variable says where to; empty if they are, or none says."""
    variable = endpoint_variable()
    if variable is None:
        return ""
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        return (
            f"{variable} is set, but no traces are sent without the extra otel: pip install 'jobyard[otel]'."
        )
    protocol = next(((name, os.environ[name]) for name in PROTOCOLS if os.environ.get(name)), None)
    if protocol is not None and protocol[1] != SPOKEN:
        return f"{protocol[0]} is {protocol[1]}, but traces are sent by {SPOKEN}, which collectors take at port 4318."
    return ""


def are_sent() -> bool:
    return endpoint_variable() is not None and not hindrance()
