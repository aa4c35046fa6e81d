"""uvicorn's server, asleep while nobody asks it anything."""

from __future__ import annotations

import asyncio
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette

from app.web.connections import Connections, bounded

WEBSOCKET_BYTES = 64 * 1024  # of a message that a client sends


class SleepingServer(uvicorn.Server):
    """Serves until a signal ends it. uvicorn's own looks ten times a second whether one came, and what time it is.

    What uvicorn does at these looks is not done: `date` is a header of the application, and no setting that they heed
    (`limit_max_requests`, `callback_notify`) has an effect.
    """

    _wake: asyncio.Event | None = None

    async def main_loop(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        if not self.should_exit:  # a signal may have come before there was anything to wake
            await self._wake.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._wake is not None:
            self._loop.call_soon_threadsafe(self._wake.set)


class LazyWebSockets(asyncio.Protocol):
    """uvicorn's WebSockets, imported with the first one: a server that is asked for none is spared the memory."""

    def __new__(cls, **given: Any) -> Any:
        from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

        return WebSocketsSansIOProtocol(**given)


def make_server(app: Starlette, connections: Connections) -> SleepingServer:
    """The server of the application, with its bounds on connections and messages."""
    return SleepingServer(
        uvicorn.Config(
            app,
            log_level="warning",
            log_config=None,  # its lines go where ours do
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=5,
            http=bounded(connections),
            ws=LazyWebSockets,
            ws_max_size=WEBSOCKET_BYTES,
            ws_per_message_deflate=False,  # it would take memory for each, and time for what is typed
        )
    )
