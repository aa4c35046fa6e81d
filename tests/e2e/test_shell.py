"""A shell over a real server and engine: what goes through, what waits, and that nothing of it outlives its end."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from app.web.shell.talk import WINDOW
from tests.support.server import TOKEN, JobyardServer, jobyard_server
from tests.support.waiting import eventually

MIB = 1 << 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JobyardServer]:
    with jobyard_server(tmp_path / "data") as server:
        yield server


@pytest.fixture
def run(server: JobyardServer) -> Any:
    source = {"type": "image", "image": "busybox:latest"}
    server.make_job("report", "", source=source, command=["sleep", "1000"], grace_period_seconds=1)
    made = server.api("POST", "/projects/acme/jobs/report/runs", {})
    server.wait_for("the container is started", lambda: started(server, made["id"]))
    return made


def started(server: JobyardServer, run_id: int) -> bool:
    attempts = server.api("GET", f"/runs/{run_id}/attempts")["items"]
    return bool(attempts) and attempts[0]["containers"][0]["started_at"] is not None


@contextmanager
def shell(server: JobyardServer, run: Any) -> Iterator[ClientConnection]:
    address = (
        f"{server.url.replace('http', 'ws')}/api/v1/runs/{run['id']}/attempts/1/shell?columns=100&rows=30"
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with connect(address, additional_headers=headers, compression=None, ping_interval=None) as socket:
        assert "opened" in json.loads(socket.recv())
        yield socket


def read_until(socket: ClientConnection, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        data = socket.recv(timeout=20)
        assert isinstance(data, bytes), data
        seen += data
    return seen


def last_words(socket: ClientConnection) -> str:
    while not isinstance(said := socket.recv(timeout=20), str):
        pass
    ended: str = json.loads(said)["ended"]
    return ended


def processes(word: str) -> list[Path]:
    """This machine's processes, in containers or not, that have the word as an argument."""

    def has_it(process: Path) -> bool:
        try:
            return word.encode() in (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False

    return [each for each in Path("/proc").glob("[0-9]*") if has_it(each)]


def sleeping(socket: ClientConnection) -> str:
    """A word that a process started in the shell has; it runs when this returns."""
    word = f"1234{uuid.uuid4().int % 10**8}"
    socket.send(f"sleep {word} & sleep {word}\n".encode())
    eventually(lambda: len(processes(word)) == 2)
    return word


def test_a_terminal_in_the_container_until_the_run_ends(server: JobyardServer, run: Any) -> None:
    with shell(server, run) as socket:
        socket.send(b"stty size; hostname; echo $JOBYARD_RUN_ID-$((40 + 2))\n")
        seen = read_until(socket, b"-42")
        assert b"30 100" in seen
        socket.send(json.dumps({"columns": 120, "rows": 40}))
        socket.send(b"stty size\n")
        read_until(socket, b"40 120")
        word = sleeping(socket)
        server.api("POST", f"/runs/{run['id']}/cancel", {})
        assert last_words(socket) == "The container has ended, and the shell with it."
    eventually(lambda: not processes(word))


def test_what_the_client_does_not_take_waits_in_the_container(server: JobyardServer, run: Any) -> None:
    word = f"y{uuid.uuid4().hex}"
    with shell(server, run) as socket:
        before, shown = resident(server), 0
        socket.send(f"/bin/busybox yes {word}\n".encode())
        while shown < WINDOW:
            shown += len(socket.recv(timeout=20))
        with pytest.raises(TimeoutError):
            socket.recv(timeout=1)
        assert len(processes(word)) == 1, "it waits, and has not ended"
        assert resident(server) - before < 24 * MIB
        for _ in range(64):  # it goes on as that is taken
            socket.send(json.dumps({"taken": shown}))
            shown += len(socket.recv(timeout=20))
    eventually(lambda: not processes(word))


def resident(server: JobyardServer) -> int:
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_nothing_of_it_outlives_the_server(server: JobyardServer, run: Any, end: str) -> None:
    """A server that is told to end takes its shells along; what a killed one leaves, the next one ends."""
    with shell(server, run) as socket:
        word = sleeping(socket)
        if end == "stop":
            server.stop()
            eventually(lambda: not processes(word))
            server.start()
        else:
            server.kill()
            server.start()
            eventually(lambda: not processes(word))
        with suppress(ConnectionClosed):
            last_words(socket)
    assert server.api("GET", f"/runs/{run['id']}")["status"] == "running"

    def told() -> list[str]:
        entries = [each["action"] for each in server.items("/audit", action="run")]
        return sorted(each for each in entries if each.endswith("_shell"))

    eventually(lambda: told() == ["run.close_shell", "run.open_shell"])  # of a killed server by the next one


def test_a_client_that_vanishes_leaves_nothing(server: JobyardServer, run: Any) -> None:
    with shell(server, run) as socket:
        word = sleeping(socket)
        socket.close_socket()
    eventually(lambda: not processes(word))
