"""Servers that begin at once: each is forked from a process that has everything loaded, which takes most of a start.

python -m tests.support.forked      forks a server for each line it is given, and answers with its process id
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.project import ROOT
from tests.support.server import JobyardServer

POLL = 0.01


class Nursery:
    """The process that servers are forked from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fork(self, **given: Any) -> ForkedProcess:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(given) + "\n")
            self._process.stdin.flush()
            return ForkedProcess(int(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class ForkedProcess:
    """As much of a `Popen` as `JobyardServer` asks for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, seconds: float = 60) -> int:
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            assert time.monotonic() < deadline, f"process {self.pid} has not ended"
            time.sleep(POLL)
        return 0


class ForkedServer(JobyardServer):
    def __init__(self, data: Path, nursery: Nursery, **settings: str) -> None:
        super().__init__(data, **settings)
        self._nursery = nursery

    def _begin(self) -> None:
        self._process = self._nursery.fork(  # type: ignore[assignment]
            port=self.port, environment=self._environment(), log=str(self._log)
        )


def _serve(port: int, environment: dict[str, str], log: str) -> None:
    """In the child."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    os.setsid()
    os.chdir(Path(log).parent)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(ours, theirs)
    sys.argv = ["jobyard", "serve", "--port", str(port)]
    from app.cli import main

    main()


def _fork_for_each_line() -> None:
    import uvicorn  # noqa: F401

    import app.bootstrap.server
    import app.cli.server
    import app.web.connections  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            _serve(**json.loads(line))
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    _fork_for_each_line()
