"""Memory for the bodies of requests under way: bounded in all, so that strangers' bodies can't use up the server's.

Small bodies have a pool of their own, so that large ones never keep them out. Who comes when a pool is full waits for
room, and gets it from those whose body has stopped coming or comes too slowly.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

SMALL_BYTES = 256 * 1024  # bodies up to here are small
BLOCK_BYTES = 64 * 1024
_HOLD = "jobyard.hold"


@dataclass(frozen=True)
class Bounds:
    """What bodies under way may take of the server: bytes of all small and of all large ones, and seconds."""

    small_pool: int = 16 * 1024 * 1024
    large_pool: int = 64 * 1024 * 1024
    block_seconds: float = 10.0  # for each `BLOCK_BYTES` of a body
    patience_seconds: float = 60.0  # for a body
    stalled_seconds: float = 1.0  # without another block, while others wait for room
    slowest_seconds: float = 20.0  # that a body may take at its pace, while others wait for room
    wait_seconds: float = 5.0  # for room
    look_again_seconds: float = 0.25


class Pool:
    """So many bytes for those that hold some of them."""

    def __init__(self, size: int, look_again_seconds: float) -> None:
        self._left, self._look_again_seconds = size, look_again_seconds
        self._holds: dict[Hold, int] = {}
        self._freed = asyncio.Event()

    def take(self, hold: Hold, size: int) -> bool:
        """Let it hold so many bytes in all; False where there is no room, and then it has what it had."""
        more = size - self._holds.get(hold, 0)
        if more > self._left:
            return False
        self._left -= more
        self._holds[hold] = size
        return True

    def give_back(self, hold: Hold) -> None:
        size = self._holds.pop(hold, None)
        if size is not None:
            self._left += size
            self._freed.set()

    def make_room(self, now: float) -> bool:
        """Let go of the one that has been without progress for longest, if there is one that may be."""
        hopeless = [hold for hold in self._holds if hold.is_hopeless(now)]
        if hopeless:
            min(hopeless, key=lambda hold: hold.progressed_at).let_go()
        return bool(hopeless)

    async def changes(self) -> None:
        """Returns when something was given back, or it is time to look again."""
        self._freed.clear()
        try:
            async with asyncio.timeout(self._look_again_seconds):  # `wait_for` of 3.11 may swallow a cancel
                await self._freed.wait()
        except TimeoutError:
            return


class Pools:
    """Room for small bodies and for large ones."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.small = Pool(bounds.small_pool, bounds.look_again_seconds)
        self.large = Pool(bounds.large_pool, bounds.look_again_seconds)


class Hold:
    """What one request's body takes of the pools. `size` is what it may have in all."""

    def __init__(self, pools: Pools) -> None:
        self.bounds = pools.bounds
        self._pools = pools
        self._pool = pools.small
        self._began_at = self.progressed_at = 0.0
        self._received, self._size = 0, 0
        self._patience: asyncio.Timeout | None = None
        self.is_out_of_room = False

    def begin(self, size: int, patience: asyncio.Timeout) -> None:
        """The body is being read, until `patience` is over."""
        self._size, self._patience = size, patience
        self._began_at = self.progressed_at = asyncio.get_running_loop().time()

    def end(self) -> None:
        """It is not read any more; what has come is kept until the request is answered."""
        self._patience = None

    def release(self) -> None:
        self._pool.give_back(self)

    def is_hopeless(self, now: float) -> bool:
        """Whether it should make room for others: it has stopped coming, or won't be whole for long."""
        if self._patience is None or self.is_out_of_room:
            return False
        if now - self.progressed_at > self.bounds.stalled_seconds:
            return True
        taken = now - self._began_at
        return (
            taken > self.bounds.stalled_seconds
            and taken * self._size > self.bounds.slowest_seconds * self._received
        )

    def let_go(self) -> None:
        """Make room for others; whoever reads the body is told by its patience, unless that is over anyway."""
        self.is_out_of_room = True
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(0)
        self.release()

    def grow(self, received: int, now: float) -> bool:
        """More has come, `received` bytes in all. False where it has to wait for room."""
        if received // BLOCK_BYTES > self._received // BLOCK_BYTES:
            self.progressed_at = now
        self._received = received
        if received <= SMALL_BYTES:
            return self._pool.take(self, received)
        return self._pool is self._pools.large or self._move()

    def _move(self) -> bool:
        """Out of the pool of the small ones, with room for all that is to come."""
        if not self._pools.large.take(self, self._size):
            return False
        self._pool.give_back(self)
        self._pool = self._pools.large
        return True

    async def wait(self) -> None:
        """Wait for room. Raises TimeoutError if there is none for long, or others need what this one has."""
        loop = asyncio.get_running_loop()
        wanted = self._pool if self._received <= SMALL_BYTES else self._pools.large
        ends_at = loop.time() + self.bounds.wait_seconds
        while not self.grow(self._received, loop.time()):
            if loop.time() > ends_at:
                self.is_out_of_room = True
                self.release()
            if self.is_out_of_room:
                raise TimeoutError
            if not wanted.make_room(loop.time()):
                await wanted.changes()
        self.progressed_at = loop.time()


class BodyBudget:
    """Gives every request a `Hold` of the same pools, and takes it back when it is answered."""

    def __init__(self, app: ASGIApp, bounds: Bounds = Bounds()) -> None:
        self._app = app
        self._pools = Pools(bounds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        hold = scope[_HOLD] = Hold(self._pools)
        try:
            await self._app(scope, receive, send)
        finally:
            hold.release()


def hold_of(connection: HTTPConnection) -> Hold:
    found = connection.scope.get(_HOLD)
    return found if isinstance(found, Hold) else Hold(Pools(Bounds()))
