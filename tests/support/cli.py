"""The `jobyard` command as somebody types it, and a real server for it to speak with."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn

from app.cli import main
from app.web.app import create_app
from app.web.server_context import ServerContext
from tests.support.server_context import ADMIN_TOKEN

STARTS_WITHIN_SECONDS = 20


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


class Cli:
    """Calls the command's entry in this process, where it finds only the settings given here."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: str | int) -> Done:
        self._capsys.readouterr()
        try:
            main([str(arg) for arg in args])
            status: Any = 0
        except SystemExit as exit_:
            status = exit_.code or 0
        out, err = self._capsys.readouterr()
        return Done(status, out, err)


@contextmanager
def serving(context: ServerContext, port: int = 0) -> Iterator[int]:
    """A server over `context` on a real socket, without any loop; yields its port."""
    config = uvicorn.Config(
        create_app(context, nullcontext),
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def start(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        started.set()

    server.startup = start  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    assert started.wait(STARTS_WITHIN_SECONDS)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(STARTS_WITHIN_SECONDS)


def point_at(monkeypatch: pytest.MonkeyPatch, port: int, token: str | None = ADMIN_TOKEN) -> None:
    """Settings of the command: this server, this token."""
    for name in ("JOBYARD_PROJECT", "JOBYARD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JOBYARD_URL", f"http://127.0.0.1:{port}")
    if token is not None:
        monkeypatch.setenv("JOBYARD_TOKEN", token)
