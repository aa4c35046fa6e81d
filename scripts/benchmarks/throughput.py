"""`throughput`: 100 trivial runs, over `xargs -P` of `docker run` at the same width.

Both sides run the same image, that of a build. A tag would be looked up at its registry before each of our runs, and
at no time by theirs.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from builders.backends.cli import find_cli
from scripts.benchmarks.follow import wait_for_end
from scripts.benchmarks.pairs import Pairs, result
from tests.support.repositories import Repository
from tests.support.server import JobyardServer, jobyard_server

ROUNDS, RUNS, WIDTH = 3, 100, 4
DOCKERFILE = 'FROM busybox:latest\nCMD ["true"]\n'


def run() -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as name,
        jobyard_server(Path(name) / "data", workers_runs=str(WIDTH)) as server,
    ):
        repository = Repository(Path(name) / "trivial")
        repository.commit({"Dockerfile": DOCKERFILE})
        server.make_job("trivial", repository.url)
        image = server.ran(server.push(repository), "trivial")["digest"]
        pairs = Pairs(f"{RUNS} runs, {WIDTH} at once", "runs/s", ">= 0.95")
        return result("throughput", pairs.take(lambda: _ours(server), lambda: _theirs(image), ROUNDS))


def _ours(server: JobyardServer) -> float:
    """Each run is followed to its end, as `jobyard run --follow` does; asking again and again would cost as much."""
    began = time.perf_counter()
    started = [server.api("POST", "/projects/acme/jobs/trivial/runs", {})["id"] for _ in range(RUNS)]
    for each in started:
        wait_for_end(server, each)
    seconds = time.perf_counter() - began
    assert all(server.api("GET", f"/runs/{each}")["status"] == "succeeded" for each in started)
    return RUNS / seconds


def _theirs(image: str) -> float:
    began = time.perf_counter()
    command = ["xargs", f"-P{WIDTH}", "-n1", find_cli().argv[0], "run", "--rm", image, "true"]
    # xargs hands each container one argument more, which `true` ignores.
    numbers = "\n".join(map(str, range(RUNS)))
    subprocess.run(command, input=numbers, text=True, check=True)
    return RUNS / (time.perf_counter() - began)
