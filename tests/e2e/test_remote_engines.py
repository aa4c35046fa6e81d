"""A push to a server whose engine is on another machine, over TLS and over ssh."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hosted import HostedJob
from tests.support.processes import kill, proc
from tests.support.remote_engine import ssh_engine, tls_engine
from tests.support.server import JobyardServer, jobyard_server

COUNTS = "n=0; while [ $n -lt 100 ]; do n=$((n+1)); echo $n; sleep 0.05; done"
COUNTED = "".join(f"{number}\n" for number in range(1, 101))
DOCKERFILE = f'FROM busybox:latest\nCMD ["sh", "-c", "{COUNTS}"]\n'


@pytest.fixture(scope="module")
def over_ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobyardServer]:
    folder = tmp_path_factory.mktemp("ssh")
    with (
        ssh_engine(folder / "engine") as engine,
        jobyard_server(folder / "data", **engine.settings) as server,
    ):
        yield server


def test_a_push_over_tls(tmp_path: Path, host: Callable[[JobyardServer], HostedJob]) -> None:
    with (
        tls_engine(tmp_path / "engine") as engine,
        jobyard_server(tmp_path / "data", **engine.settings) as server,
    ):
        hosted = host(server)
        hosted.job()
        run = hosted.ran(hosted.push({"Dockerfile": DOCKERFILE}))
        assert run["status"] == "succeeded", run
        assert server.log_of(run) == COUNTED


def test_a_push_over_ssh_whose_connection_is_cut_meanwhile(
    over_ssh: JobyardServer, host: Callable[[JobyardServer], HostedJob]
) -> None:
    hosted = host(over_ssh)
    hosted.job()
    push = hosted.push({"Dockerfile": DOCKERFILE})
    over_ssh.wait_for("output", lambda: any("20\n" in over_ssh.log_of(run) for run in hosted.runs()))
    kill(_ssh_of(over_ssh))
    run = hosted.ran(push)
    assert (run["status"], run["attempts"]) == ("succeeded", 1), run
    assert over_ssh.log_of(run) == COUNTED


def test_a_check_of_a_port_is_refused_before_anything_starts(
    over_ssh: JobyardServer, host: Callable[[JobyardServer], HostedJob]
) -> None:
    hosted = host(over_ssh)
    hosted.job(health_checks=[{"type": "liveness", "protocol": "tcp", "port": 80}], retry_limit=2)
    run = hosted.ran(hosted.push({"Dockerfile": DOCKERFILE}))
    assert (run["status"], over_ssh.log_of(run)) == ("failed", ""), run
    assert "Ports of containers on another machine (JOBYARD_DOCKER_HOST) can't be reached" in run["sentence"]


def _ssh_of(server: JobyardServer) -> int:
    """The ssh that this server has started."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return next(pid for pid in pids if proc(pid, "cmdline")[0] == "ssh" and _parent(pid) == server.pid)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
