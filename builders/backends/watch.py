"""Whether the engine was there all the time: asked of the engine, as what its CLI prints may be a build's own words."""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

from builders.backends.base import BackendUnavailable

DEFAULT_HOST = "unix:///var/run/docker.sock"
ANSWER_SECONDS = 20.0
ASKED_AFTERWARDS_SECONDS = 5.0
NO_EVENT = quote('{"label":["jobyard.of-nothing"]}')  # matches none: the answer stays open and empty


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Watch:
    """Notices when an engine ends.

    `listening` is the socket of an answer that ends only when the engine does; None where the engine can't be
    watched, as its address is of another kind or it refuses such a call.
    """

    def __init__(self, docker_host: str, listening: socket.socket | None) -> None:
        self._docker_host = docker_host
        self._listening = listening

    def went_away(self) -> bool:
        """Return whether the engine ended since the watch began, or does not answer now."""
        return self._listening is not None and (_has_ended(self._listening) or not self._answers())

    def _answers(self) -> bool:
        try:
            with _asked(self._docker_host, "/_ping", ASKED_AFTERWARDS_SECONDS):
                return True
        except (OSError, http.client.HTTPException):
            return False


@contextmanager
def watching(docker_host: str | None) -> Iterator[Watch]:
    """Yield a watch of the engine. Raises BackendUnavailable if it does not answer now."""
    address = docker_host or DEFAULT_HOST
    if urlsplit(address).scheme not in ("unix", "tcp"):
        yield Watch(address, None)
        return
    with contextlib.ExitStack() as stack:
        try:
            asked = _asked(address, f"/events?filters={NO_EVENT}", ANSWER_SECONDS)
            connection, response = stack.enter_context(asked)
        except (OSError, http.client.HTTPException) as error:
            raise BackendUnavailable(
                f"The container engine doesn't answer ({_cause(error)}): start it, or check the address it is given by."
            ) from error
        yield Watch(address, connection.sock if response.status == http.HTTPStatus.OK else None)


@contextmanager
def _asked(
    docker_host: str, path: str, seconds: float
) -> Iterator[tuple[http.client.HTTPConnection, http.client.HTTPResponse]]:
    parts = urlsplit(docker_host)
    connection = (
        _UnixConnection(parts.path, seconds)
        if parts.scheme == "unix"
        else http.client.HTTPConnection(parts.hostname or "", parts.port or 2375, timeout=seconds)
    )
    with contextlib.closing(connection):
        connection.request("GET", path)
        yield connection, connection.getresponse()


def _has_ended(listening: socket.socket) -> bool:
    """Return whether the endless answer has ended; what it brings is dropped."""
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    while poll.poll(0):
        try:
            if not listening.recv(1 << 16):
                return True
        except OSError:
            return True
    return False


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing for {ANSWER_SECONDS:.0f} s"
    is_systems = isinstance(error, OSError) and error.errno is not None
    return os.strerror(error.errno) if is_systems else type(error).__name__  # type: ignore[attr-defined]
