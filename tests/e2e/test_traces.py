"""Traces of pushes, from the real server to a collector that decodes what OpenTelemetry's exporter sends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.collector import Collected, collector
from tests.support.repositories import Repository
from tests.support.server import JobyardServer, jobyard_server

VALUE = "hunter2-is-no-word-of-ours"
OF_A_RUN = "delivery/build/decision/run"
WHOLE = sorted(
    [
        "delivery",
        "delivery/decision",
        "delivery/build",
        "delivery/build/checkout",
        "delivery/build/plan",
        "delivery/build/image",
        "delivery/build/decision",
        OF_A_RUN,
        f"{OF_A_RUN}/attempt",
        f"{OF_A_RUN}/attempt/start",
        f"{OF_A_RUN}/attempt/log",
        f"{OF_A_RUN}/attempt/end",
    ]
)


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collected]:
    """What a server that is started then sends its traces to."""
    with collector() as each:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", each.url)
        yield each


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "report")
    made.commit({"Procfile": "worker: echo $WORD; echo reported\n"})
    return made


@pytest.fixture
def server(tmp_path: Path, collected: Collected, repository: Repository) -> Iterator[JobyardServer]:
    with jobyard_server(tmp_path / "data", engine="process") as each:
        secret = {"WORD": {"value": VALUE, "secret": True}}
        each.make_job("report", repository.url, env=secret)
        yield each


def test_a_push_is_one_trace(server: JobyardServer, collected: Collected, repository: Repository) -> None:
    push = server.push(repository)
    run = server.ran(push)
    server.wait_for("the run's span", lambda: "run" in [span.name for span in collected.spans])
    server.wait_for("the rest of the trace", lambda: len(collected.spans) >= len(WHOLE))
    assert collected.ways() == WHOLE
    assert len({span.trace_id for span in collected.spans}) == 1
    by_name = {span.name: span for span in collected.spans}
    told = {each.key: each.value for each in by_name["run"].attributes}
    assert told["jobyard.run"].string_value == run["name"]
    assert told["jobyard.status"].string_value == "succeeded"
    revision = {each.key: each.value.string_value for each in by_name["build"].attributes}
    assert revision["vcs.ref.head.revision"] == push.sha
    for outer, inner in (("build", "image"), ("run", "attempt"), ("attempt", "log"), ("attempt", "end")):
        assert by_name[outer].start_time_unix_nano <= by_name[inner].start_time_unix_nano
        assert by_name[inner].end_time_unix_nano <= by_name[outer].end_time_unix_nano
    assert VALUE.encode() not in b"".join(collected.bodies)


def test_a_server_that_is_killed_between_build_and_run_leaves_one_trace(
    server: JobyardServer, collected: Collected, repository: Repository
) -> None:
    """The collector takes nothing before the kill, so all that is told of the build is known from the rows alone."""
    collected.status = 503
    push = server.push(repository)
    server.built(push)
    server.kill()
    collected.status = 200
    server.start()
    server.ran(push)
    server.wait_for("the trace", lambda: len(collected.spans) >= len(WHOLE))
    assert set(collected.ways()) == set(WHOLE)
    assert len({span.trace_id for span in collected.spans}) == 1


def test_a_collector_that_hangs_holds_nothing_up(
    server: JobyardServer, collected: Collected, repository: Repository
) -> None:
    collected.answers.clear()
    run = server.ran(server.push(repository))
    assert run["status"] == "succeeded"
    assert collected.asked > 0
    assert collected.bodies == []
    assert server.stop() < 8
