"""An engine that takes calls and never answers makes nobody wait, and work goes on when it answers again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.engine_harness import BUSYBOX
from tests.support.engine_proxy import EngineProxy, Fault, nothing_wrong
from tests.support.private_engine import private_engine
from tests.support.server import TOKEN, JobyardServer, jobyard_server

PAGES = ("/", "/settings", "/projects", "/api/v1/projects", "/api/v1/deliveries", "/healthz", "/readyz")
OPEN_PAGES = 60  # more than there are threads for requests
SOON = 10.0  # seconds for all of them, on a machine that does other things as well; one call to the engine has 60
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProxy]:
    with EngineProxy(tmp_path_factory.mktemp("engine"), lambda _call: Fault.STALL) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def started(proxy: EngineProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobyardServer]:
    """While the engine hangs."""
    with jobyard_server(tmp_path_factory.mktemp("hangs") / "data", docker_host=proxy.url) as server:
        server.api("POST", "/projects", {"name": "hangs"})
        yield server


@pytest.fixture
def server(started: JobyardServer, proxy: EngineProxy) -> JobyardServer:
    """One that knows that the engine hangs."""
    proxy.rule = lambda _call: Fault.STALL
    proxy.cut()

    def silence() -> bool:
        answer = started.http.get("/readyz")
        return answer.status_code == 503 and "has not answered for" in answer.json()["detail"]

    assert started.wait_for("the silence is known", silence, 30)
    return started


def echoing(server: JobyardServer, name: str) -> str:
    """A job that says `after all`; its path."""
    job = {"name": name, "source": {"type": "image", "image": BUSYBOX}, "command": ["echo", "after all"]}
    server.api("POST", "/projects/hangs/jobs", job)
    return f"/projects/hangs/jobs/{name}"


def seconds_of(server: JobyardServer, paths: list[str]) -> float:
    began = time.monotonic()
    with ThreadPoolExecutor(len(paths)) as callers:
        answers = list(callers.map(lambda path: server.http.get(path, headers=HEADERS), paths))
    assert {answer.status_code for answer in answers} <= {200, 503}
    return time.monotonic() - began


def test_pages_and_api_answer_while_the_engine_hangs(server: JobyardServer) -> None:
    assert server.http.get("/readyz").status_code == 503
    assert "has not answered for" in server.http.get("/", headers=HEADERS).text
    assert seconds_of(server, [*PAGES, *["/"] * OPEN_PAGES]) < SOON


def test_a_rollback_or_deploy_is_refused_at_once_while_the_engine_hangs(server: JobyardServer) -> None:
    job = echoing(server, "refused")
    began = time.monotonic()
    answer = server.request("POST", f"{job}/deploy", json={"image": BUSYBOX})
    assert answer.status_code == 503, answer.text
    assert "Nothing was changed" in answer.json()["detail"]
    assert time.monotonic() - began < SOON


def test_work_goes_on_when_the_engine_answers_again(server: JobyardServer, proxy: EngineProxy) -> None:
    run = server.api("POST", f"{echoing(server, 'waits')}/runs", {})
    proxy.rule = nothing_wrong
    proxy.cut()
    assert server.wait_for("the engine is up", lambda: server.http.get("/readyz").status_code == 200, 30)
    ended = server.over(f"/runs/{run['id']}")
    assert ended["status"] == "succeeded", ended
    assert "after all" in server.log_of(ended)


def test_a_server_is_stopped_while_the_engine_hangs(server: JobyardServer) -> None:
    took = server.stop()
    server.start()
    assert took < SOON


def test_a_stopped_daemon_is_known_and_what_runs_goes_on(tmp_path: Path) -> None:
    with (
        private_engine(tmp_path, live_restore=True) as engine,
        jobyard_server(tmp_path / "data", docker_host=engine.url) as server,
    ):
        server.api("POST", "/projects", {"name": "stops"})
        command = ["sh", "-c", "echo begun; sleep 8; echo over"]
        job = {"name": "goes-on", "source": {"type": "image", "image": BUSYBOX}, "command": command}
        server.api("POST", "/projects/stops/jobs", job)
        run = server.api("POST", "/projects/stops/jobs/goes-on/runs", {})
        server.wait_for("it runs", lambda: "begun" in server.log_of(run))
        with engine.stopped():
            server.wait_for("that is known", lambda: server.http.get("/readyz").status_code == 503, 30)
            assert "has not answered for" in server.http.get("/readyz").json()["detail"]
            assert seconds_of(server, [*PAGES, *["/"] * OPEN_PAGES]) < SOON
        server.wait_for("the engine is up", lambda: server.http.get("/readyz").status_code == 200, 30)
        ended = server.over(f"/runs/{run['id']}")
        assert ended["status"] == "succeeded", ended
        assert server.log_of(ended).endswith("over\n")
