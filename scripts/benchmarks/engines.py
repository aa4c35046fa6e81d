"""`engines`: a container on a node of a Swarm over `docker service create` by hand; and a queue that two servers of one
PostgreSQL work off, over one server alone.

The servers' engine is in memory and ends each container at once, so that what is measured is theirs and the database's.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from scripts.benchmarks.fake_server import GATE, FakeEngineServer
from scripts.benchmarks.follow import first_line
from scripts.benchmarks.pairs import Pairs, result
from tests.support.databases import Postgres, running_postgres
from tests.support.server import JobyardServer, jobyard_server
from tests.support.swarm_harness import REGISTRY, Swarm, swarm

ROUNDS, QUEUE_ROUNDS, QUEUED = 10, 3, 1000
LINE = "here I am"
KEY = "the key of secrets of both servers"


def run() -> dict[str, Any]:
    with running_postgres() as cluster:
        queue = Pairs(f"{QUEUED} queued runs, two servers over one", "s", "<= 1.05")
        queue.take(lambda: _worked_off(cluster, 2), lambda: _worked_off(cluster, 1), QUEUE_ROUNDS)
    return result("engines", _on_a_swarm(), queue)


def _on_a_swarm() -> Pairs:
    with (
        tempfile.TemporaryDirectory() as name,
        swarm() as nodes,
        jobyard_server(
            Path(name) / "data", engine="swarm", docker_host=nodes.url(1), registry=f"{REGISTRY}/team"
        ) as server,
    ):
        source = {"type": "image", "image": nodes.image}
        server.make_job("echo", "", source=source, command=["echo", LINE])
        pairs = Pairs("run on a Swarm", "s", "<= 1.10")
        return pairs.take(lambda: _by_api(server), lambda: _by_hand(nodes), ROUNDS)


def _by_api(server: JobyardServer) -> float:
    began = time.perf_counter()
    return first_line(server, server.api("POST", "/projects/acme/jobs/echo/runs", {}), LINE, began)


def _by_hand(nodes: Swarm) -> float:
    """Create the service, and follow its output until the first line."""
    docker, name = ["docker", "--host", nodes.url(1)], f"by-hand-{uuid.uuid4().hex[:8]}"
    began = time.perf_counter()
    once = ["--detach", "--quiet", "--restart-condition", "none", "--name", name]
    subprocess.run(
        [*docker, "service", "create", *once, nodes.image, "echo", LINE], check=True, capture_output=True
    )
    logs = subprocess.Popen([*docker, "service", "logs", "--follow", "--raw", name], stdout=subprocess.PIPE)
    assert logs.stdout is not None
    assert logs.stdout.readline() == f"{LINE}\n".encode()
    seconds = time.perf_counter() - began
    logs.kill()
    logs.wait()
    subprocess.run([*docker, "service", "rm", name], check=True, capture_output=True)
    return seconds


def _worked_off(cluster: Postgres, servers: int) -> float:
    """Seconds in which so many servers work off a queue that was there before."""
    with tempfile.TemporaryDirectory() as name, _gated(cluster, Path(name), servers) as (started, gate):
        first = started[0]
        source = {"type": "image", "image": f"registry.example.com/job@sha256:{'0' * 64}"}
        first.make_job("trivial", "", source=source, command=["true"])
        for _ in range(QUEUED):
            first.api("POST", "/projects/acme/jobs/trivial/runs", {})
        began = time.perf_counter()
        gate.touch()
        first.wait_for("the queue is empty", lambda: _left(first) == 0, 300)
        return time.perf_counter() - began


def _left(server: JobyardServer) -> int:
    """How many runs are not over; told from the database in one small answer."""
    queued, running = (server.items("/runs", status=status) for status in ("queued", "running"))
    return len(queued) + len(running)


@contextmanager
def _gated(cluster: Postgres, root: Path, servers: int) -> Iterator[tuple[list[FakeEngineServer], Path]]:
    """Yield servers whose engine starts nothing before the file is there, and the file."""
    gate, logs = root / "gate", root / "logs"
    logs.mkdir()
    settings = {
        "database_url": cluster.create("template0"),
        "secret_key": KEY,
        "log_store": f"file://{logs}",
        GATE: str(gate),
    }
    with ExitStack() as closing:
        started = []
        for number in range(servers):
            server = FakeEngineServer(root / str(number), **settings)
            closing.callback(server.close)
            server.start()
            started.append(server)
        yield started, gate
