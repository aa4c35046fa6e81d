"""`run`: API call → first line of the log, over `docker run` of the same image."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.benchmarks.follow import first_line, wait_for_removal
from scripts.benchmarks.pairs import Pairs, result
from scripts.benchmarks.raw_push import docker_run
from tests.support.repositories import Repository
from tests.support.server import jobyard_server

ROUNDS = 15
LINE = "here I am"
DOCKERFILE = f'FROM busybox:latest\nCMD ["echo", "{LINE}"]\n'


def run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, jobyard_server(Path(name) / "data") as server:
        repository = Repository(Path(name) / "echo")
        repository.commit({"Dockerfile": DOCKERFILE})
        server.make_job("echo", repository.url)
        image = server.ran(server.push(repository), "echo")["digest"]

        def ours() -> float:
            began = time.perf_counter()
            started = server.api("POST", "/projects/acme/jobs/echo/runs", {})
            seconds = first_line(server, started, LINE, began)
            wait_for_removal(server, server.over(f"/runs/{started['id']}"))
            return seconds

        def theirs() -> float:
            return docker_run(image, f"{LINE}\n".encode(), time.perf_counter())

        return result("run", Pairs("run by API", "s", "<= 1.05").take(ours, theirs, ROUNDS))
