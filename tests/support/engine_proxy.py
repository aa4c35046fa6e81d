"""An HTTP proxy in front of the engine's socket that does to calls what networks, crashes and load do to
them."""

from __future__ import annotations

import enum
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ENGINE_SOCKET = "/var/run/docker.sock"


class Fault(enum.Enum):
    ERROR = "answered 500, not carried out"
    RESET_BEFORE = "connection reset, not carried out"
    RESET_AFTER = "carried out, connection reset instead of the answer"
    LATE = "answered 504 at once, carried out when `release` is called"
    EMPTY = "answered 200 with nothing at all, as the engine does of a container whose process has just ended"
    STALL = "no answer until the proxy closes, not carried out"


@dataclass(frozen=True)
class Truncate:
    """The answer ends after so many bytes of its body."""

    after_bytes: int


@dataclass(frozen=True)
class Call:
    """`path` is without the API version and the query."""

    number: int
    method: str
    path: str

    @property
    def is_start(self) -> bool:
        return self.path.endswith("/start") and self.path.startswith("/containers/")


Rule = Callable[[Call], "Fault | Truncate | None"]


def nothing_wrong(_call: Call) -> None:
    return None


@dataclass
class EngineProxy:
    directory: Path
    rule: Rule = nothing_wrong
    calls: list[Call] = field(default_factory=list)
    late_answers: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._path = self.directory / "engine.sock"
        self._lock = threading.Lock()
        self._late: list[bytes] = []
        self._sockets: set[socket.socket] = set()
        self.url = f"unix://{self._path}"

    def __enter__(self) -> EngineProxy:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def down(self) -> None:
        """As when the engine goes away: every connection breaks, none can be made."""
        self._path.unlink(missing_ok=True)
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self) -> None:
        """Break the connections there are."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Carry out what came LATE, in order; the answers go to `late_answers`."""
        with self._lock:
            late, self._late = self._late, []
        for request in late:
            with self._engine(request) as upstream:
                self.late_answers.append(_read_answer(upstream, request))

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._sockets.add(client)
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            request = _read_request(client)
            if not request:
                return
            method, target, _ = request.split(b" ", 2)
            path = re.sub(r"^/v[0-9.]+", "", target.decode().partition("?")[0])
            with self._lock:
                call = Call(len(self.calls), method.decode(), path)
                self.calls.append(call)
            self._answer(client, request, self.rule(call))

    def _answer(self, client: socket.socket, request: bytes, fault: Fault | Truncate | None) -> None:
        match fault:
            case Fault.ERROR:
                client.sendall(_error(500, "the proxy says no"))
            case Fault.EMPTY:
                client.sendall(_head("200 OK", 0))
            case Fault.RESET_BEFORE:
                return
            case Fault.RESET_AFTER:
                with self._engine(request) as upstream:
                    _read_answer(upstream, request)
            case Fault.LATE:
                with self._lock:
                    self._late.append(request)
                client.sendall(_error(504, "the proxy is late"))
            case Fault.STALL:
                client.recv(1)
            case _:
                limit = fault.after_bytes if isinstance(fault, Truncate) else None
                with self._engine(request) as upstream:
                    with self._lock:
                        self._sockets.add(upstream)
                    _relay(upstream, client, limit)

    def _engine(self, request: bytes) -> socket.socket:
        upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        upstream.connect(ENGINE_SOCKET)
        upstream.sendall(request)
        return upstream


def _read_request(source: socket.socket) -> bytes:
    """Head and body, asking for the connection to be closed after the answer unless it becomes a stream."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = source.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
    while length and len(body) < int(length[1]):
        body += source.recv(65536)
    if b"Upgrade:" not in head:
        head = re.sub(rb"(?im)^connection: .*\r\n", b"", head) + b"\r\nConnection: close"
    return head + b"\r\n\r\n" + body


def _read_all(source: socket.socket) -> bytes:
    parts = []
    while data := source.recv(65536):
        parts.append(data)
    return b"".join(parts)


def _read_answer(upstream: socket.socket, request: bytes) -> bytes:
    return upstream.recv(65536) if b"Upgrade:" in request else _read_all(upstream)


def _relay(upstream: socket.socket, client: socket.socket, limit: int | None) -> None:
    """Nothing our engine reads is answered by more input, so one direction is enough."""
    head = True
    while data := upstream.recv(65536):
        if limit is not None:
            start = data.find(b"\r\n\r\n") + 4 if head else 0
            head = False
            data, limit = data[: start + limit], limit - (len(data) - start)
        client.sendall(data)
        if limit is not None and limit <= 0:
            return


def _error(status: int, message: str) -> bytes:
    body = f'{{"message": "{message}"}}'.encode()
    return _head(f"{status} Fault", len(body)) + body


def _head(status: str, length: int) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n"
