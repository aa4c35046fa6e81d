"""`receiver`: signed deliveries a second with 16 keep-alive clients, over a receiver that keeps nothing and over
Debian's `webhook` with a signature rule and a trivial command. Ours are on disk before the answer, and counted there.

Every request has a delivery id of its own; the load comes from `wrk`, a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from scripts.benchmarks.pairs import Pairs, result
from tests.support.payloads import encode, push_payload, sign
from tests.support.repositories import Repository
from tests.support.server import SECRET, JobyardServer, free_port, jobyard_server

ROUNDS, SECONDS, CLIENTS = 5, 1, 16
WORDS = count(1)
WRK = """
local number = 0
wrk.method = "POST"
wrk.body = io.open("{body}"):read("*a")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-GitHub-Event"] = "push"
wrk.headers["X-Hub-Signature-256"] = "{signature}"
request = function()
  number = number + 1
  wrk.headers["X-GitHub-Delivery"] = "{prefix}-" .. number
  return wrk.format()
end
"""


def run() -> dict[str, Any]:
    over_bare = Pairs("receiver / bare endpoint", "req/s", ">= 0.40")
    over_webhook = Pairs("receiver / webhook", "req/s", ">= 1.5")
    with tempfile.TemporaryDirectory() as name, jobyard_server(Path(name) / "data") as server:
        directory = Path(name)
        body = _prepare(server, directory)
        stored = Stored(server, directory, body)
        with _bare(directory) as bare, _webhook(directory) as webhook:
            for number in range(ROUNDS + 1):
                rates = stored.measure(), _load(directory, body, bare), webhook.measure(directory, body)
                if number == 0:
                    continue  # a warm-up of all three
                for pairs, other in ((over_bare, rates[1]), (over_webhook, rates[2])):
                    pairs.ours.append(rates[0])
                    pairs.theirs.append(other)
    return result("receiver", over_bare, over_webhook, stored=stored.number, clients=CLIENTS)


class Stored:
    """Our side: what was answered has to be there afterwards, once."""

    def __init__(self, server: JobyardServer, directory: Path, body: Path) -> None:
        self.server, self.directory, self.body = server, directory, body
        self.number = 0

    def measure(self) -> float:
        rate = _load(self.directory, self.body, f"{self.server.url}/webhooks/github")
        self.server.wait_for("all deliveries are processed", self._is_idle, 600)
        before, self.number = self.number, self._count()
        assert self.number - before >= int(rate * SECONDS) - CLIENTS, "an answer without a stored delivery"
        return rate

    def _is_idle(self) -> bool:
        time.sleep(0.5)
        return bool(self.server.items("/deliveries")[0]["status"] == "processed")

    def _count(self) -> int:
        """How many deliveries the database has."""
        with sqlite3.connect(f"file:{self.server.data}/jobyard.db?mode=ro", uri=True) as database:
            return int(database.execute("SELECT count(*) FROM delivery").fetchone()[0])


def _prepare(server: JobyardServer, directory: Path) -> Path:
    """A job that tracks the repository with CI off: deliveries are decided, nothing is built."""
    repository = Repository(directory / "report")
    repository.commit({"main.py": "print(1)"})
    server.make_job("report", repository.url, ci_enabled=False)
    body = directory / "body.json"
    payload = push_payload(repository.path, before=None, after=repository.head, clone_url=repository.url)
    body.write_bytes(encode(payload))
    return body


def _load(directory: Path, body: Path, url: str) -> float:
    """Requests a second, all of them answered with 2xx."""
    script = directory / "wrk.lua"
    signature = sign(SECRET.encode(), body.read_bytes())
    script.write_text(WRK.format(body=body, signature=signature, prefix=f"bench-{next(WORDS)}"))
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{SECONDS}s", "-s", str(script), url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said
    found = re.search(r"Requests/sec: +([\d.]+)", said)
    assert found, said
    return float(found[1])


@contextmanager
def _bare(directory: Path) -> Iterator[str]:
    port = free_port()
    app = "scripts.benchmarks.bare_receiver:app"
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "error"]
    with _process(directory, [*command, "--no-access-log"], port, {"BENCH_SECRET": SECRET}):
        yield f"http://127.0.0.1:{port}/"


class Webhook:
    """The other side: it answers before its commands have run, so these are waited for before anybody else's turn."""

    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        self.url, self._process = url, process

    def measure(self, directory: Path, body: Path) -> float:
        rate = _load(directory, body, self.url)
        while self._spent() != self._spent(after=0.2):
            pass
        return rate

    def _spent(self, after: float = 0.0) -> list[str]:
        """The processor time that it and its commands have had so far."""
        time.sleep(after)
        return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[11:15]


@contextmanager
def _webhook(directory: Path) -> Iterator[Webhook]:
    port = free_port()
    rule = {
        "type": "payload-hmac-sha256",
        "secret": SECRET,
        "parameter": {"source": "header", "name": "X-Hub-Signature-256"},
    }
    hook = {"id": "push", "execute-command": "/bin/true", "trigger-rule": {"match": rule}}
    hooks = directory / "hooks.json"
    hooks.write_text(json.dumps([hook]))
    command = ["webhook", "-hooks", str(hooks), "-ip", "127.0.0.1", "-port", str(port)]
    with _process(directory, command, port) as process:
        yield Webhook(f"http://127.0.0.1:{port}/hooks/push", process)


@contextmanager
def _process(
    directory: Path, command: list[str], port: int, extra: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **(extra or {})}, stdout=log, stderr=log)
        try:
            _wait_for(port)
            yield process
        finally:
            process.kill()
            process.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with suppress(OSError):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
            except urllib.error.HTTPError:
                return
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing answers on port {port}")
