"""Connections of the server: so many at most, with a time and a size for the head of each request.

A connection that has sent no whole head is worth least: when there are too many of them, from one address or in all,
the one that has waited longest is closed. Proxies send a head in one go, and live streams have sent theirs.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from dataclasses import dataclass

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST = 1000


@dataclass(frozen=True)
class Bounds:
    """What connections may take of the server."""

    heads: int = 256  # connections without a whole head
    heads_of_address: int = 64
    head_bytes: int = 64 * 1024
    head_lines: int = 200
    head_seconds: float = 10.0
    body_seconds: float = 10.0  # for the rest of a body that nobody wants, after the answer
    last_body_seconds: float = 1.0  # for the rest of a body when the server stops
    write_seconds: float = 60.0  # in which a client that we send to must take something
    linger_seconds: float = 2.0  # in which a refused client may read the refusal
    look_seconds: float = 0.5  # between two looks at who has not kept to these
    pipelined: int = 16  # requests that may wait for the answer to the one before


def most_with(open_files: int) -> int:
    """How many connections there may be, where the process may have so many open files."""
    return MOST if open_files < 0 else min(MOST, open_files // 2)


class Connections:
    """Those that are open. Everything happens on the event loop."""

    def __init__(self, most: int, bounds: Bounds = Bounds()) -> None:
        self.bounds = bounds
        self._most, self._heads_most = most, min(bounds.heads, most // 2)
        self._open: set[BoundedConnection] = set()
        self._heads: dict[BoundedConnection, float] = {}  # without a whole head, since when; oldest first
        self._heads_of: Counter[str] = Counter()
        self._is_looking = False

    def add(self, connection: BoundedConnection) -> None:
        if len(self._open) >= self._most and not self._close_an_idle_one():
            connection.close_with("503 Service Unavailable")
            return
        self._open.add(connection)
        self.await_head(connection)
        if not self._is_looking:
            self._is_looking = True
            connection.loop.call_later(self.bounds.look_seconds, self._look, connection.loop)

    def remove(self, connection: BoundedConnection) -> None:
        self._open.discard(connection)
        self.head_came(connection)

    def await_head(self, connection: BoundedConnection) -> None:
        self._heads[connection] = connection.loop.time()
        self._heads_of[connection.address] += 1
        if self._heads_of[connection.address] > self.bounds.heads_of_address:
            next(each for each in self._heads if each.address == connection.address).give_up()
        elif len(self._heads) > self._heads_most:
            next(iter(self._heads)).give_up()

    def head_came(self, connection: BoundedConnection) -> None:
        if self._heads.pop(connection, None) is not None:
            self._heads_of[connection.address] -= 1
            if not self._heads_of[connection.address]:
                del self._heads_of[connection.address]

    def is_awaited(self, connection: BoundedConnection) -> bool:
        return connection in self._heads

    def _close_an_idle_one(self) -> bool:
        idle = next(iter(self._heads), None) or next((each for each in self._open if each.is_idle), None)
        if idle is not None:
            idle.give_up()
        return idle is not None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection, since in list(self._heads.items()):
            if now - since <= self.bounds.head_seconds:
                break
            connection.give_up()
        for connection in list(self._open):
            connection.check(now)
        self._is_looking = bool(self._open)
        if self._open:
            loop.call_later(self.bounds.look_seconds, self._look, loop)


class BoundedConnection(HttpToolsProtocol):
    """One connection, within the bounds of all."""

    pool: Connections
    address = ""
    _has_begun = False  # something of a head that is not whole has come
    _head_bytes = 0
    _is_in_body = False
    _answered_at: float | None = None  # since when the rest of a body is only thrown away
    _refused_at: float | None = None
    _unwritten: tuple[float, int] | None = None  # since when so many bytes have not been taken

    # --- what the transport tells

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = network_of(self.client[0] if self.client else "")
        self.pool.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused_at is not None or self.transport.is_closing():
            return
        if not self._is_in_body:
            self._has_begun = True
            self._head_bytes += len(data)
        super().data_received(data)
        if self._has_begun:  # a whole head, as most come, costs no more than this
            self._await_head()
            if self._head_bytes > self.pool.bounds.head_bytes:
                self._refuse("431 Request Header Fields Too Large")

    def pause_writing(self) -> None:
        self._unwritten = self.loop.time(), self.transport.get_write_buffer_size()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unwritten = None
        super().resume_writing()

    def handle_websocket_upgrade(self) -> None:
        self.pool.remove(self)
        super().handle_websocket_upgrade()

    # --- what the parser tells

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._has_begun = True  # it may be one more in the same piece of data

    def on_headers_complete(self) -> None:
        self.pool.head_came(self)
        if self._head_bytes > self.pool.bounds.head_bytes or len(self.headers) > self.pool.bounds.head_lines:
            self._check_head()
        if len(self.pipeline) >= self.pool.bounds.pipelined:
            raise ValueError("too many requests at once")
        self._is_in_body, self._has_begun, self._head_bytes = True, False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_body = False
        super().on_message_complete()

    def shutdown(self) -> None:
        """What is answered or idle is closed; a body that is still coming has a moment left."""
        super().shutdown()
        if self._is_in_body:
            self.loop.call_later(self.pool.bounds.last_body_seconds, self._abandon)

    # --- what becomes of it

    @property
    def is_answered(self) -> bool:
        """Whether nothing is owed to the client."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_idle(self) -> bool:
        return self.is_answered and not self._is_in_body

    def give_up(self) -> None:
        """Close it, with a word if a part of a request has come."""
        self.pool.head_came(self)
        if self._head_bytes:
            self.close_with("408 Request Timeout")
        self.transport.close()

    def _abandon(self) -> None:
        if self._is_in_body:
            self.transport.close()

    def close_with(self, status: str) -> None:
        if not self.transport.is_closing():
            self.transport.write(_answer(status))
        self.transport.close()

    def _refuse(self, status: str) -> None:
        """What still comes is thrown away for a moment, as closing now could take the answer from the client."""
        self.pool.head_came(self)
        self._refused_at = self.loop.time()
        if self.is_answered:
            self.transport.write(_answer(status))

    def check(self, now: float) -> None:
        """Close it if what is awaited of the client has not come in time."""
        if self._refused_at is not None and now - self._refused_at > self.pool.bounds.linger_seconds:
            self.transport.close()
        if not self._is_in_body or not self.is_answered:
            self._answered_at = None
        elif self._answered_at is None:
            self._answered_at = now
        elif now - self._answered_at > self.pool.bounds.body_seconds:
            self.transport.close()
        if self._unwritten is not None:
            self._check_writing(now, *self._unwritten)

    def _check_writing(self, now: float, since: float, size: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left < size:
            self._unwritten = now, left
        elif now - since > self.pool.bounds.write_seconds:
            self.transport.abort()

    def _await_head(self) -> None:
        if self.is_answered and not self.pool.is_awaited(self):
            self.pool.await_head(self)

    def _check_head(self) -> None:
        """The exact size: what was counted may have a part of the body in it."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.pool.bounds.head_bytes or len(self.headers) > self.pool.bounds.head_lines:
            self.app = Response(status_code=431, headers={"Connection": "close"})


def bounded(connections: Connections) -> type[asyncio.Protocol]:
    """The protocol that uvicorn is to speak, over these connections."""
    return type("Connection", (BoundedConnection,), {"pool": connections})


def network_of(host: str) -> str:
    """What counts as one address: of IPv6 the first half, which one household or machine has."""
    if ":" not in host:
        return host
    try:
        found = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    return (
        str(found.ipv4_mapped) if found.ipv4_mapped else str(ipaddress.IPv6Network((found, 64), strict=False))
    )


def _answer(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 5\r\n\r\n".encode()
