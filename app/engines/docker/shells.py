"""Shells by the engine's `exec`, and how they are ended: the engine itself has no way to end what it executes."""

from __future__ import annotations

import secrets
import uuid
from contextlib import suppress
from typing import Any

from app.domain.errors import EngineUnavailable
from app.engines.docker.calls import Calls, Conflicting, Connection, Gone, Invalid, Refusal
from app.engines.shells import END, MARK, NO_SHELL, NOT_RUNNING, NOTHING, NoShell

LAUNCH = '[ -x /bin/bash ] && exec /bin/bash; exec "$0"'
ENV = ("TERM=xterm-256color", "SHELL=/bin/sh")
CANNOT_START = (126, 127)


class Shells:
    """Opens shells, and ends what other processes of the server left of theirs."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._mark = f"{MARK}={uuid.uuid4().hex}."  # of this process's shells; each adds a name of its own
        self._open: set[str] = set()  # by the engine's id

    def open(self, container_id: str, columns: int, rows: int) -> DockerShell:
        """Raises NoShell, EngineUnavailable."""
        mark = f"{self._mark}{uuid.uuid4().hex}"
        try:
            exec_id = self._created(container_id, mark)
            connection = self._calls.stream("POST", f"/exec/{exec_id}/start", {"Detach": False, "Tty": True})
        except (Gone, Conflicting) as error:
            raise NoShell(NOT_RUNNING) from error
        except Invalid as error:
            raise NoShell(NO_SHELL) from error
        self._open.add(exec_id)
        shell = DockerShell(self, container_id, exec_id, mark, connection)
        try:
            shell.resize(columns, rows)  # the engine answers once the process is started, or can't be
            self._require_started(exec_id)
        except BaseException:
            with suppress(EngineUnavailable):
                shell.close()
            raise
        return shell

    def _created(self, container_id: str, mark: str) -> str:
        with self._calls.api() as client:
            created = client.exec_create(
                container_id,
                ["/bin/sh", "-c", LAUNCH, "/bin/sh"],
                stdin=True,
                tty=True,
                environment=[*ENV, mark],
                detach_keys=_keys_that_nobody_types(),
            )
        return str(created["Id"])

    def _require_started(self, exec_id: str) -> None:
        if not (found := self.inspect(exec_id))["Pid"] and found["ExitCode"] in CANNOT_START:
            raise NoShell(NO_SHELL)

    def inspect(self, exec_id: str) -> Any:
        with self._calls.api() as client:
            return client.exec_inspect(exec_id)

    def resize(self, exec_id: str, columns: int, rows: int) -> None:
        with suppress(Refusal), self._calls.api() as client:
            client.exec_resize(exec_id, height=rows, width=columns)

    def end(self, container_id: str, exec_id: str, mark: str) -> None:
        self._kill(container_id, mark, NOTHING)
        self._open.discard(exec_id)

    def end_left(self, container_id: str) -> None:
        """End the shells in the container that are none of this process's. Raises EngineUnavailable."""
        try:
            with self._calls.api() as client:
                found = client.inspect_container(container_id)["ExecIDs"] or ()
            if any(self._is_left(exec_id) for exec_id in found if exec_id not in self._open):
                self._kill(container_id, f"{MARK}=", self._mark)
        except Gone:
            return

    def _is_left(self, exec_id: str) -> bool:
        try:
            found = self.inspect(exec_id)
        except Gone:
            return False
        return bool(found["Running"]) and LAUNCH in (found["ProcessConfig"]["arguments"] or ())

    def _kill(self, container_id: str, marked: str, spared: str) -> None:
        """Kill what has the one text in its environment and not the other; what doesn't run has nothing."""
        try:
            with self._calls.api() as client:
                ending = client.exec_create(container_id, ["/bin/sh", "-c", END, "/bin/sh", marked, spared])[
                    "Id"
                ]
                client.exec_start(ending)
        except (Gone, Conflicting, Invalid):
            return


def _keys_that_nobody_types() -> str:
    """The engine leaves a terminal when it sees certain keys, and can't be told not to; by default Ctrl-P, Ctrl-Q, and
    it holds each Ctrl-P back until the next key comes.
    """
    return ",".join(("ctrl-^", *secrets.token_hex(16)))


class DockerShell:
    """See `app.engines.shells.Shell`."""

    def __init__(
        self, shells: Shells, container_id: str, exec_id: str, mark: str, connection: Connection
    ) -> None:
        self._shells = shells
        self._container_id, self._exec_id, self._mark = container_id, exec_id, mark
        self._connection = connection

    def read(self) -> bytes:
        try:
            return self._connection.read_some()
        except OSError:
            return b""

    def write(self, data: bytes) -> None:
        with suppress(OSError):
            self._connection.send(data)

    def resize(self, columns: int, rows: int) -> None:
        self._shells.resize(self._exec_id, columns, rows)

    def close(self) -> None:
        self._connection.interrupt()
        self._shells.end(self._container_id, self._exec_id, self._mark)
        self._connection.close()
