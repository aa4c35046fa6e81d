"""Whether the engine was there all the time: asked of the engine, as what its CLI prints may be a build's own words."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from builders.backends.base import BackendUnavailable
from builders.backends.docker_host import DockerHost

ANSWER_SECONDS = 20.0
ASKED_AFTERWARDS_SECONDS = 5.0
NO_EVENT = quote('{"label":["jobyard.of-nothing"]}')  # matches none: the answer stays open and empty


class Watch:
    """Notices when an engine ends.

    `listening` is the socket of an answer that ends only when the engine does; None where the engine can't be
    watched, as its address is of another kind or it refuses such a call.
    """

    def __init__(self, docker_host: DockerHost, listening: socket.socket | None) -> None:
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
def watching(docker_host: DockerHost) -> Iterator[Watch]:
    """Yield a watch of the engine. Raises BackendUnavailable if it does not answer now."""
    if not docker_host.can_be_asked:
        yield Watch(docker_host, None)
        return
    with contextlib.ExitStack() as stack:
        try:
            asked = _asked(docker_host, f"/events?filters={NO_EVENT}", ANSWER_SECONDS)
            connection, response = stack.enter_context(asked)
        except (OSError, http.client.HTTPException) as error:
            raise BackendUnavailable(
                f"The container engine doesn't answer ({_cause(error)}): start it, or check the address it is given by."
            ) from error
        yield Watch(docker_host, connection.sock if response.status == http.HTTPStatus.OK else None)


@contextmanager
def _asked(
    docker_host: DockerHost, path: str, seconds: float
) -> Iterator[tuple[http.client.HTTPConnection, http.client.HTTPResponse]]:
    with contextlib.closing(docker_host.connection(seconds)) as connection:
        connection.request("GET", path)
        yield connection, connection.getresponse()


def _has_ended(listening: socket.socket) -> bool:
    """Return whether the endless answer has ended; what it brings is dropped."""
    listening.setblocking(False)
    try:
        while listening.recv(1 << 16):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing for {ANSWER_SECONDS:.0f} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    is_systems = isinstance(error, OSError) and error.errno is not None
    return os.strerror(error.errno) if is_systems else type(error).__name__  # type: ignore[attr-defined]
