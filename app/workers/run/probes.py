"""One probe of a container: a command in it, a connection or a request to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote

from app.domain.health import Answer
from app.domain.job.checks import Check, CommandCheck, TcpCheck
from app.engines.base import Capability, Engine, Handle

TIMED_OUT, NOT_RUNNING = 124, 125  # of `Engine.probe`
TRIAL_SECONDS = 5.0
AS_THEY_ARE = "/?&=%+:;,@!$'()*~"  # of a path with a query


def probe(engine: Engine, handle: Handle, check: Check, now: Callable[[], datetime]) -> Answer | None:
    """The container's answer, or None if it does not run any more. Raises EngineUnavailable."""
    began = now()
    passed, words = _ask(engine, handle, check)
    if not passed and not _is_running(engine, handle):
        return None
    return Answer(began, passed, words, (now() - began).total_seconds())


def _is_running(engine: Engine, handle: Handle) -> bool:
    """Return whether the process runs; where no container has an address here, a command beside it tells."""
    if Capability.ADDRESS not in engine.lacks():
        return engine.address(handle) is not None
    return engine.probe(handle, ["true"], TRIAL_SECONDS) != NOT_RUNNING


def _ask(engine: Engine, handle: Handle, check: Check) -> tuple[bool, str]:
    if isinstance(check, CommandCheck):
        code = engine.probe(handle, check.argv, check.timeout_seconds)
        return code == 0, _too_late(check) if code == TIMED_OUT else f"exit code {code}"
    address = engine.address(handle)
    if address is None:
        return False, "no address"
    try:
        if isinstance(check, TcpCheck):
            socket.create_connection((address, check.port), check.timeout_seconds).close()
            return True, "accepted"
        status = _status(address, check.port, check.path, check.timeout_seconds)
        return 200 <= status < 400, f"status {status}"
    except TimeoutError:
        return False, _too_late(check)
    except ConnectionRefusedError:
        return False, "connection refused"
    except OSError as error:
        return False, error.strerror or "the connection was closed"
    except HTTPException:
        return False, "an answer that is not HTTP"


def _too_late(check: Check) -> str:
    return f"no answer within {check.timeout_seconds} s"


def _status(address: str, port: int, path: str, timeout_seconds: float) -> int:
    """The status of a GET. Raises TimeoutError also for an answer that comes too slowly."""
    deadline = time.monotonic() + timeout_seconds
    connection = HTTPConnection(address, port, timeout=timeout_seconds)
    try:
        connection.connect()
        with _cut_off(connection.sock, deadline - time.monotonic()):
            headers = {"User-Agent": "jobyard-health-check", "Connection": "close"}
            connection.request("GET", quote(path, safe=AS_THEY_ARE), headers=headers)
            return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def _cut_off(connection: socket.socket, seconds: float) -> Iterator[None]:
    """The socket's own timeout counts from byte to byte; this ends the connection when the whole time is over."""
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, HTTPException):
        if not is_over.is_set():
            raise
    finally:
        timer.cancel()
    if is_over.is_set():
        raise TimeoutError
