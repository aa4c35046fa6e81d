"""uvicorn's server, asleep while nobody asks it anything."""

from __future__ import annotations

import asyncio
from types import FrameType

import uvicorn


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
