"""Shells by `exec` over a WebSocket, whose messages begin with the number of a channel."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

from httpx2.websockets import HTTPXWSException

from app.domain.errors import EngineUnavailable
from app.engines.kubernetes.api import Api, Refusal
from app.engines.kubernetes.classify import read_status
from app.engines.kubernetes.manifests import CONTAINER
from app.engines.shells import END, MARK, NO_SHELL, NOTHING, NoShell

INPUT, OUTPUT, ERRORS, STATUS, SIZE = range(5)
TERMINAL = {"stdin": "true", "tty": "true"}
_BEGUN = b"\x1e"  # the first byte of output, once the shell has its mark
# `exec` takes no variables: they are set by a shell, and are another's from its beginning, which says so.
_LAUNCH = f'export {MARK}="$1" TERM=xterm-256color SHELL="$0"; exec "$0" -c "$2" "$0"'
_SHELL = "printf '\\036'; [ -x /bin/bash ] && exec /bin/bash; exec \"$0\""
_CANNOT_START = (126, 127)
_MOST = 1 << 14  # bytes typed in one message
_LOOK_SECONDS = 0.5  # in which a reader notices that its shell was closed
_BEGIN_SECONDS, _END_SECONDS = 20.0, 20.0


class Shells:
    """Opens shells, and ends what other processes of the server left of theirs."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._mark = f"{uuid.uuid4().hex}."  # of this process's shells; each adds a name of its own

    def open(self, pod: str, columns: int, rows: int) -> KubernetesShell:
        """Raises NoShell, EngineUnavailable."""
        mark = f"{self._mark}{uuid.uuid4().hex}"
        argv = ["/bin/sh", "-c", _LAUNCH, "/bin/sh", mark, _SHELL]
        with ExitStack() as stack:
            session = stack.enter_context(self._api.execute(pod, CONTAINER, argv, **TERMINAL))
            shell = KubernetesShell(self, pod, mark, session, stack.pop_all())
        try:
            shell.resize(columns, rows)
            shell.begin()
        except BaseException:
            with suppress(EngineUnavailable):
                shell.close()
            raise
        return shell

    def end(self, pod: str, mark: str) -> None:
        self._kill(pod, f"{MARK}={mark}", NOTHING)

    def end_left(self, pod: str) -> None:
        """End the shells in the container that are none of this process's. Raises EngineUnavailable."""
        self._kill(pod, f"{MARK}=", f"{MARK}={self._mark}")

    def _kill(self, pod: str, marked: str, spared: str) -> None:
        """Kill what has the one text in its environment and not the other; what doesn't run has nothing."""
        try:
            with self._api.execute(
                pod, CONTAINER, ["/bin/sh", "-c", END, "/bin/sh", marked, spared]
            ) as session:
                while _channel(session.receive_bytes(timeout=_END_SECONDS)) != STATUS:
                    pass
        except Refusal:
            return
        except (TimeoutError, HTTPXWSException) as error:
            raise EngineUnavailable("The cluster does not say that a shell has ended.") from error


class KubernetesShell:
    """See `app.engines.shells.Shell`."""

    def __init__(self, shells: Shells, pod: str, mark: str, session: Any, open_until: ExitStack) -> None:
        self._shells, self._pod, self._mark = shells, pod, mark
        self._session, self._open_until = session, open_until
        self._waiting = b""  # output that came together with the first byte
        self._has_ended = False

    def begin(self) -> None:
        """Wait until the shell has its mark. Raises NoShell, EngineUnavailable."""
        first = self._received(_BEGIN_SECONDS)
        if not first.startswith(_BEGUN):
            raise EngineUnavailable("The cluster opened a shell that says nothing.")
        self._waiting = first[len(_BEGUN) :]

    def read(self) -> bytes:
        if self._waiting:
            waiting, self._waiting = self._waiting, b""
            return waiting
        try:
            return self._received(None)
        except (EngineUnavailable, NoShell):
            return b""

    def _received(self, timeout_seconds: float | None) -> bytes:
        """Return the next output, none at the end. Raises NoShell, EngineUnavailable."""
        while not self._has_ended:
            try:
                message = self._session.receive_bytes(timeout=timeout_seconds or _LOOK_SECONDS)
            except (TimeoutError, HTTPXWSException) as error:
                if isinstance(error, TimeoutError) and timeout_seconds is None:
                    continue
                self._has_ended = True
                raise EngineUnavailable("The cluster's connection to a shell broke off.") from error
            if _channel(message) == STATUS:
                self._has_ended = True
                if read_status(json.loads(message[1:])) in _CANNOT_START:
                    raise NoShell(NO_SHELL)
            elif message[1:]:
                return bytes(message[1:])
        return b""

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), _MOST):
            if not self._sent(INPUT, data[at : at + _MOST]):
                return

    def resize(self, columns: int, rows: int) -> None:
        self._sent(SIZE, json.dumps({"Width": columns, "Height": rows}).encode())

    def _sent(self, channel: int, data: bytes) -> bool:
        try:
            self._session.send_bytes(bytes((channel,)) + data)
        except Exception:
            return False
        return True

    def close(self) -> None:
        self._has_ended = True
        with suppress(OSError):  # whoever reads or writes there returns
            self._session.stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        with suppress(EngineUnavailable, HTTPXWSException):
            self._open_until.close()
        self._shells.end(self._pod, self._mark)


def _channel(message: Sequence[int]) -> int:
    return message[0] if message else OUTPUT
