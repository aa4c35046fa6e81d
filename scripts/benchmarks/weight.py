"""`weight`: what a server takes of its machine, over the bound of each figure; at most five minutes.

What it takes to start, and with nothing to do; what strangers do to others' answers; what of 10,000 runs stays in
memory. Beside the bound of the idle memory stands what others of its class take, measured on two such cores: Buildbot
with a worker, and `webhook`, which keeps nothing. The data of the many runs lies in memory: no disk is measured there.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx2

from scripts.benchmarks.fake_server import FakeEngineServer
from tests.support.payloads import encode, push_headers, push_payload
from tests.support.repositories import Repository
from tests.support.server import SECRET, TOKEN, JobyardServer, jobyard_server

MB = 1e6
STARTS, SETTLED_SECONDS, IDLE_SECONDS = 3, 6, 15
OTHERS_MB = "Buildbot 125, webhook 8"
READY_SECONDS, IDLE_MB, IDLE_CORE_PERCENT, IDLE_WAKES = 1.5, 80.0, 0.3, 5.0
REQUESTS, STORM_SECONDS, SLOWER, MORE_MIB = 200, 3, 2.0, 100.0
WARM_RUNS, RUNS, GROWTH_MB = 2_000, 10_000, 5.0
IN_MEMORY = Path("/dev/shm")
SOURCE = {"type": "image", "image": "busybox:latest"}
PASSWORD = "a password of some length"


def run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        rows = [*_at_rest(Path(name)), *_among_strangers(Path(name))]
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as name:
        return {"benchmark": "weight", "rows": [*rows, _over_runs(Path(name))]}


def row(what: str, figure: float, unit: str, bound: float, number: int, **more: Any) -> dict[str, Any]:
    """One figure over its bound."""
    sides = {"ours": f"{figure:.4g} {unit}", "theirs": f"{bound:g} {unit} at most"}
    return {"what": what, "n": number, **sides, "ratio": round(figure / bound, 3), "goal": "<= 1", **more}


# --- at rest


def _at_rest(root: Path) -> Iterator[dict[str, Any]]:
    with jobyard_server(root / "idle") as server:  # the first start makes the database
        starts, memory = [], []
        for _ in range(STARTS):
            starts.append(_start(server))
            time.sleep(SETTLED_SECONDS)
            memory.append(_memory(server.pid))
        yield row("ready after", median(starts), "s", READY_SECONDS, STARTS, all_ours=starts)
        yield _idle_memory(memory)
        wakes, seconds, began = _wakes(server.pid), cpu_seconds(server.pid), time.monotonic()
        time.sleep(IDLE_SECONDS)
        passed = time.monotonic() - began
        core = 100 * (cpu_seconds(server.pid) - seconds) / passed
        yield row("idle: % of a core", core, "%", IDLE_CORE_PERCENT, 1)
        yield row("idle: wake-ups", (_wakes(server.pid) - wakes) / passed, "a second", IDLE_WAKES, 1)


def _idle_memory(memory: list[float]) -> dict[str, Any]:
    found = row("idle: memory", median(memory), "MB", IDLE_MB, STARTS, all_ours=memory)
    spread = f"{min(memory):.1f} to {max(memory):.1f}"
    return found | {"ours": f"{found['ours']} ({spread})", "theirs": f"{found['theirs']} ({OTHERS_MB})"}


def _start(server: JobyardServer) -> float:
    server.stop()
    began = time.perf_counter()
    server._begin()
    server.wait_for("the server is ready", lambda: _is_ready(server))
    return time.perf_counter() - began


def _is_ready(server: JobyardServer) -> bool:
    try:
        return server.http.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def _status(path: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", path.read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def _memory(pid: int) -> float:
    """What is resident, in MB."""
    return _status(Path(f"/proc/{pid}/status"), "VmRSS") * 1024 / MB


def _wakes(pid: int) -> int:
    """How often the threads that are there have gone to sleep by themselves."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(_status(each / "status", "voluntary_ctxt_switches") for each in threads)


def cpu_seconds(pid: int) -> float:
    """What the threads that are there have spent, to the nanosecond."""
    spent = (int((each / "schedstat").read_text().split()[0]) for each in Path(f"/proc/{pid}/task").iterdir())
    return sum(spent) / 1e9


# --- among strangers


def _among_strangers(root: Path) -> Iterator[dict[str, Any]]:
    with jobyard_server(root / "strangers", password=PASSWORD) as server:
        server.command("admin", "create", "--name", "ada")
        webhook, page = _webhook(server, root), _page(server)
        _p99(webhook)
        _p99(page)
        for kind in ("heads", "bodies", "logins"):
            calm = _p99(webhook), _p99(page)
            memory = _memory(server.pid)
            with _strangers(server.port, kind):
                time.sleep(STORM_SECONDS)
                busy, more = (_p99(webhook), _p99(page)), _memory(server.pid) - memory
            for name, before, after in zip(("webhooks", "pages"), calm, busy, strict=True):
                figures = {"calm_ms": round(1000 * before, 2), "busy_ms": round(1000 * after, 2)}
                what = f"{kind}: p99 of {name}, over that without"
                yield row(what, after / before, "times", SLOWER, REQUESTS, **figures)
            yield row(f"{kind}: more memory", max(more * MB / 2**20, 0), "MiB", MORE_MIB, 1)


@contextmanager
def _strangers(port: int, kind: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "scripts.benchmarks.strangers", str(port), kind])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _webhook(server: JobyardServer, root: Path) -> Callable[[int], None]:
    repository = Repository(root / "report")
    repository.commit({"main.py": "print(1)"})
    server.make_job("report", repository.url, ci_enabled=False)
    payload = push_payload(repository.path, before=None, after=repository.head, clone_url=repository.url)
    body = encode(payload)

    def call(number: int) -> None:
        headers = push_headers(SECRET.encode(), body, f"weight-{time.monotonic_ns()}-{number}")
        assert server.http.post("/webhooks/github", content=body, headers=headers).status_code == 202

    return call


def _page(server: JobyardServer) -> Callable[[int], None]:
    form = {"name": "ada", "password": PASSWORD, "next": "/"}
    assert server.http.post("/login", data=form).status_code == 303

    def call(_number: int) -> None:
        assert server.http.get("/projects/acme").status_code == 200

    return call


def _p99(call: Callable[[int], None]) -> float:
    """The seconds within which 99 of 100 calls are answered, one after the other."""
    taken = []
    for number in range(REQUESTS):
        began = time.perf_counter()
        call(number)
        taken.append(time.perf_counter() - began)
    return quantiles(taken, n=100)[98]


# --- over many runs


def _over_runs(root: Path) -> dict[str, Any]:
    server = FakeEngineServer(root / "runs")
    try:
        server.start()
        server.api("POST", "/projects", {"name": "acme"})
        server.api("POST", "/projects/acme/jobs", {"name": "often", "source": SOURCE})
        _take_through(server, WARM_RUNS)
        before = _memory(server.pid)
        _take_through(server, RUNS)
        after = _memory(server.pid)
    finally:
        server.kill()
        server.http.close()
    figures = {"before_mb": round(before, 1), "after_mb": round(after, 1)}
    return row(f"memory more after {RUNS:,} runs", max(after - before, 0.0), "MB", GROWTH_MB, RUNS, **figures)


def _take_through(server: JobyardServer, number: int) -> None:
    """Start so many runs, four at a time, and wait until all have ended."""
    wanted = _finished(server) + number

    def start(_number: int) -> None:
        answer = server.request("POST", "/projects/acme/jobs/often/runs", json={})
        assert answer.is_success, answer.text

    with ThreadPoolExecutor(4) as pool:
        for begun in range(0, number, 100):
            list(pool.map(start, range(100)))
            server.wait_for("few are queued", lambda at=begun: _finished(server) > wanted - number + at - 200)
    server.wait_for("all have ended", lambda: _finished(server) >= wanted)


def _finished(server: JobyardServer) -> int:
    answer = server.http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    return int(
        sum(
            float(each)
            for each in re.findall(r"^jobyard_runs_finished_total\{.*\} (\S+)$", answer.text, re.M)
        )
    )
