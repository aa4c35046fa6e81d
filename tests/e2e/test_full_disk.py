"""The real server on a disk that is full for a while."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hosted import HostedJob
from tests.support.server import JobyardServer, jobyard_server
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.waiting import stays

NOWHERE = "unix:///nowhere/docker.sock"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def test_a_server_takes_nothing_on_and_goes_on_by_itself(
    disk: SmallDisk, host: Callable[[JobyardServer], HostedJob]
) -> None:
    """With processes, whose output is on the same disk."""
    go = disk.path.with_name("go")
    script = f"echo up; until test -e {go}; do sleep 0.1; done; seq 4000; echo over; exit 0"
    with jobyard_server(disk.path / "data", engine="process", docker_host=NOWHERE) as server:
        job = host(server)
        job.job(retry_limit=2)
        server.built(job.push({"run.sh": script}))
        run = server.wait_for("a run", lambda: next(iter(job.runs()), None))
        server.wait_for("it speaks", lambda: "up" in server.log_of(run))
        disk.fill()
        ready = server.wait_for("the server says so", lambda: unready(server))
        assert str(disk.path / "data") in ready
        assert "bytes" in ready
        assert ready in html.unescape(server.http.get("/login").text)
        refused = job.push({"run.sh": "echo second\n"})
        assert (refused.status, refused.body["detail"]) == (503, ready)
        assert server.request("POST", "/projects", json={"name": "more"}).status_code == 503
        go.touch()
        stays(lambda: server.api("GET", f"/runs/{run['id']}")["status"] == "running", 3)
        disk.make_room()
        ended = server.over(f"/runs/{run['id']}")
        assert (ended["status"], ended["attempts"]) == ("succeeded", 1)
        assert server.log_of(run) == "up\n" + "".join(f"{n}\n" for n in range(1, 4001)) + "over\n"
        server.wait_for("the server is ready", lambda: not unready(server))
        second = job.ran(job.push({"run.sh": "echo third\n"}))
        assert server.log_of(second) == "third\n"
        assert server.log.count("is full") < 10
        assert "Traceback" not in server.log


def unready(server: JobyardServer) -> str:
    answer = server.http.get("/readyz")
    return answer.json()["detail"] if answer.status_code == 503 else ""
