"""`push`: signed push → first line of the run's log, over the same by hand (fetch, BuildKit, docker run).

A warm change of one line; a small repository (20 files, one layer of packages) and a big one (5,000 files, 40 MB).
Both sides build the same Dockerfile, ours.
"""

from __future__ import annotations

import random
import tempfile
import time
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from scripts.benchmarks.follow import first_line, next_run, wait_for_removal
from scripts.benchmarks.pairs import Pairs, result
from scripts.benchmarks.raw_push import RawPipeline
from tests.support.repositories import Repository
from tests.support.server import JobyardServer, jobyard_server

ROUNDS = {"small": 9, "big": 5}
GOAL = "<= 1.10"


def run() -> dict[str, Any]:
    pairs, stages = [], {}
    with tempfile.TemporaryDirectory() as name, jobyard_server(Path(name) / "data") as server:
        for size, rounds in ROUNDS.items():
            both = BothSides(server, Path(name), size)
            pairs.append(Pairs(f"push, {size} repository", "s", GOAL).take(both.ours, both.theirs, rounds))
            stages[size] = {"ours": both.stages, "by hand": both.raw.stages}
            both.raw.close()
    return result("push", *pairs, stages_ms=stages)


class BothSides:
    """One repository with a job of ours and a pipeline by hand; each push is a commit of its own."""

    def __init__(self, server: JobyardServer, directory: Path, size: str) -> None:
        self.server, self.name = server, size
        self.numbers = count(1)
        self.stages: list[dict[str, float]] = []
        self.repository = Repository(directory / size)
        self._fill(20 if size == "small" else 5000, 400 if size == "small" else 8192)
        server.make_job(size, self.repository.url)
        self.pushed = self.repository.head
        build = server.built(server.push(self.repository), 600)
        self.raw = RawPipeline(directory / f"{size}-clone", f"jobyard-bench-{size}")
        self.raw.prepare(self.repository.url, build["dockerfile"])
        self.last_run = server.over(f"/runs/{next_run(server, size, 0)['id']}")["id"]

    def _fill(self, files: int, size: int) -> None:
        chance = random.Random(1)
        for number in range(files - 2):
            path = self.repository.path / f"package{number % 50}/module{number}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"# " + chance.randbytes(size // 2 - 1).hex().encode())
        self.repository.commit(
            {"main.py": "print('first', flush=True)\n", "requirements.txt": "six==1.17.0\n"}
        )

    def _change(self) -> tuple[str, str]:
        """A commit of one changed line; its SHA and what the job will print."""
        line = f"{self.name} change {next(self.numbers)}"
        return self.repository.commit({"main.py": f"print({line!r}, flush=True)\n"}), line

    def ours(self) -> float:
        before = self.pushed
        self.pushed, line = self._change()
        began, began_at = time.perf_counter(), time.time()
        self.server.push(self.repository, before=before)
        run = next_run(self.server, self.name, self.last_run)
        seconds = first_line(self.server, run, line, began)
        run = self.server.over(f"/runs/{run['id']}")
        wait_for_removal(self.server, run)
        self.last_run = run["id"]
        self.stages.append(self._stages(run, began_at, seconds))
        return seconds

    def theirs(self) -> float:
        sha, line = self._change()
        return self.raw.push(sha, f"{line}\n".encode())

    def _stages(self, run: Any, began_at: float, seconds: float) -> dict[str, float]:
        """Milliseconds since the push at which the server says each thing happened."""
        build = self.server.api("GET", f"/builds/{run['build']}")
        times = {
            "build queued": build["created_at"],
            "build started": build["started_at"],
            "build finished": build["finished_at"],
            "container started": run["started_at"],
        }
        since = {
            name: round((datetime.fromisoformat(at).timestamp() - began_at) * 1e3)
            for name, at in times.items()
        }
        return {**since, "first line": round(seconds * 1e3)}
