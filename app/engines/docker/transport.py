"""The SDK's transport over a Unix socket, mended twice.

It leaves its socket open when nobody listens; and it keeps connections by the whole address of a call, with the id of
the container in it, so that hardly one is used again.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool


class _Connection(UnixHTTPConnection):
    prepare: Callable[[], None] | None = None

    def connect(self) -> None:
        if self.prepare:
            self.prepare()
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            channel.settimeout(self.timeout)
            channel.connect(self.unix_socket)
        except OSError:
            channel.close()
            raise
        self.sock = channel


class _Pool(UnixHTTPConnectionPool):
    prepare: Callable[[], None] | None = None

    def _new_conn(self) -> Any:
        timeout: Any = self.timeout
        made = _Connection(self.base_url, self.socket_path, timeout)
        made.prepare = self.prepare
        return made


class UnixAdapter(UnixHTTPAdapter):
    """Takes the place of the SDK's own: `mount` it on the client for `http+docker://`. `prepare` is called before each
    connection is made, and may raise EngineUnavailable.
    """

    prepare: Callable[[], None] | None = None

    def get_connection(self, url: Any, proxies: Any = None) -> Any:  # noqa: ARG002 - the SDK's signature
        with self.pools.lock:
            pool = self.pools.get(self.socket_path)
            if pool is None:
                pool = _Pool(url, self.socket_path, self.timeout, maxsize=self.max_pool_size)
                pool.prepare = self.prepare
                self.pools[self.socket_path] = pool
        return pool
