"""`logs`: a job that writes 300 MB, over `docker run` of the same container with its output thrown away.

Jobyard keeps the first and the last part of the log, as set by default, and masks a secret. The first row's other side
has the engine's own way of keeping a copy (JSON), the second one's the way in which Jobyard has it kept. Both sides
have the job's limit of processors.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from app.domain.plans import DEFAULT_PLANS
from app.engines.docker.request import LOG_CONFIG
from builders.backends.cli import find_cli
from scripts.benchmarks.follow import wait_for_removal
from scripts.benchmarks.pairs import Pairs, result
from tests.support.repositories import Repository
from tests.support.server import jobyard_server

ROUNDS = 5
SIZE = 300_000_000
PLAN = next(plan for plan in DEFAULT_PLANS if plan.name == "medium")
POLL_SECONDS = 0.1  # more often, and the questions take the processor that is measured
LINE = "2026-11-30T04:00:00Z INFO worker-7 handled request 0123456789abcdef in 12 ms, status 200, 4321 bytes"
DOCKERFILE = f'FROM busybox:latest\nCMD ["sh", "-c", "yes \'{LINE}\' | head -c {SIZE}"]\n'


def run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, jobyard_server(Path(name) / "data") as server:
        repository = Repository(Path(name) / "flood")
        repository.commit({"Dockerfile": DOCKERFILE})
        secret = {"value": "correct horse battery staple", "secret": True}
        server.make_job("flood", repository.url, plan=PLAN.name, env={"TOKEN": secret})
        image = server.ran(server.push(repository), "flood")["digest"]

        def ours() -> float:
            began = time.perf_counter()
            run = server.api("POST", "/projects/acme/jobs/flood/runs", {})
            while run["status"] in ("queued", "running"):
                time.sleep(POLL_SECONDS)
                run = server.api("GET", f"/runs/{run['id']}")
            seconds = time.perf_counter() - began
            assert run["status"] == "succeeded", run
            wait_for_removal(server, run)
            return seconds

        as_is = Pairs("300 MB of log", "s", "<= 1.10").take(ours, partial(_docker_run, image), ROUNDS)
        options = [f"{key}={value}" for key, value in LOG_CONFIG["Config"].items()]
        alike = partial(
            _docker_run, image, f"--log-driver={LOG_CONFIG['Type']}", *_each("--log-opt", options)
        )
        return result("logs", as_is, Pairs("300 MB, kept alike", "s", "<= 1.10").take(ours, alike, ROUNDS))


def _docker_run(image: str, *options: str) -> float:
    argv = [find_cli().argv[0], "run", "--rm", "--init", f"--cpus={PLAN.cpus}", *options, image]
    began = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _each(option: str, values: list[str]) -> list[str]:
    return [f"{option}={value}" for value in values]
