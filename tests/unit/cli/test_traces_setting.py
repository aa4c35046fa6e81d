"""Whether traces are sent, as the variables of OpenTelemetry say."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from app.cli.doctor_outside import check_traces
from app.config import read_settings, traces

HERE = "http://127.0.0.1:4318"


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*traces.ENDPOINTS, *traces.PROTOCOLS):
        monkeypatch.delenv(name, raising=False)


def test_they_are_off_unless_a_variable_says_where_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (traces.are_sent(), traces.hindrance()) == (False, "")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    assert not traces.are_sent()


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_either_variable_switches_them_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, HERE)
    assert (traces.are_sent(), traces.endpoint_variable()) == (True, name)


def test_a_missing_extra_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", HERE)
    monkeypatch.setattr(
        traces, "find_spec", lambda name: None if name.startswith("opentelemetry") else find_spec(name)
    )
    assert not traces.are_sent()
    assert traces.hindrance() == (
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, but no traces are sent without the extra otel: pip install"
        " 'jobyard[otel]'."
    )


@pytest.mark.parametrize(("protocol", "are_sent"), [("http/protobuf", True), ("", True), ("grpc", False)])
def test_a_protocol_that_is_not_spoken_is_said_in_a_sentence(
    protocol: str, are_sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", HERE)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    said = f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, but traces are sent by http/protobuf, which collectors take"
    assert traces.are_sent() is are_sent
    assert traces.hindrance() == ("" if are_sent else f"{said} at port 4318.")


@pytest.mark.parametrize(
    ("protocol", "state", "sentence"),
    [
        ("http/protobuf", "ok", "They are sent to where OTEL_EXPORTER_OTLP_ENDPOINT says."),
        ("grpc", "warn", "OTEL_EXPORTER_OTLP_PROTOCOL is grpc, but traces are sent by http/protobuf"),
    ],
)
def test_doctor_says_whether_they_can_be_sent(
    protocol: str, state: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(check_traces(read_settings())) == []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", HERE)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    [finding] = check_traces(read_settings())
    assert (finding.state, finding.what) == (state, "traces")
    assert finding.sentence.startswith(sentence)
