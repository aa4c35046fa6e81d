"""Memory for bodies under way: strangers' unfinished ones keep nobody out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.web.bodies import read_at_most
from app.web.budget import BodyBudget, Bounds, Hold, Pools
from app.web.problems import Problem

MIB = 2**20
LIMIT = 25 * MIB
BLOCK = b"x" * (256 * 1024)
BOUNDS = Bounds(stalled_seconds=0.05, look_again_seconds=0.02, wait_seconds=1.0)


class Sender:
    """One request: the test sends parts of its body, and sees how it was answered."""

    def __init__(self, app: Any, declared: int | None) -> None:
        self._parts: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()
        headers = [] if declared is None else [(b"content-length", str(declared).encode())]
        scope = {"type": "http", "method": "POST", "headers": headers}
        self._task = asyncio.ensure_future(app(scope, self._receive, self._send))
        self.taken = self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []

    async def _receive(self) -> dict[str, Any]:
        body, more = await self._parts.get()
        self.taken += len(body)
        return {"type": "http.request", "body": body, "more_body": more}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        self.headers = message.get("headers", self.headers)

    async def send(self, size: int, *, last: bool = False) -> None:
        """Some of the body, as far as it is taken."""
        for begin in range(0, size, len(BLOCK)):
            part = BLOCK[: size - begin]
            self._parts.put_nowait((part, not last or begin + len(part) < size))
        for _ in range(3 * size // len(BLOCK) + 10):
            await asyncio.sleep(0)

    async def end(self) -> None:
        await asyncio.wait_for(self._task, 10)

    def is_over(self) -> bool:
        return self._task.done()

    async def give_up(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError, Problem):
            await self._task


class Reader:
    """An application that reads bodies, and answers when it may."""

    def __init__(self, bounds: Bounds) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._app = BodyBudget(self._read, bounds)
        self._senders: list[Sender] = []

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await read_at_most(Request(scope, receive), LIMIT)
            await self.may_answer.wait()
            response = Response()
        except Problem as problem:
            response = Response(status_code=problem.status, headers=problem.headers)
        await response(scope, receive, send)

    async def sender(self, size: int, declared: int | None = LIMIT) -> Sender:
        made = Sender(self._app, declared)
        self._senders.append(made)
        await made.send(size)
        return made

    async def close(self) -> None:
        for each in self._senders:
            await each.give_up()


@asynccontextmanager
async def opened(bounds: Bounds) -> AsyncIterator[Reader]:
    reader = Reader(bounds)
    try:
        yield reader
    finally:
        await reader.close()


def run(test: Callable[[Reader], Awaitable[None]], **bounds: float) -> None:
    async def within() -> None:
        async with opened(replace(BOUNDS, **bounds)) as reader:
            await test(reader)

    asyncio.run(within())


def test_what_is_held_is_bounded_and_the_rest_is_told_to_come_again() -> None:
    async def strangers(reader: Reader) -> None:
        senders = [await reader.sender(24 * MIB) for _ in range(16)]
        held = sum(each.taken for each in senders if not each.is_over())
        assert held <= BOUNDS.large_pool + BOUNDS.small_pool
        await senders[0].end()
        assert senders[0].status == 503
        assert (b"retry-after", b"5") in senders[0].headers

    run(strangers)


def test_a_body_whose_time_is_just_over_makes_room_like_any_other() -> None:
    """Between the end of its patience and its reader's hearing of that, another body may need its room."""

    async def both_at_once() -> None:
        hold, begun = Hold(Pools(BOUNDS)), asyncio.Event()
        patience = asyncio.timeout(60)

        async def read() -> None:
            async with patience:
                hold.begin(10, patience)
                begun.set()
                await asyncio.Event().wait()

        reader = asyncio.create_task(read())
        await begun.wait()
        patience.reschedule(0)
        await asyncio.sleep(0)
        assert (patience.expired(), reader.done()) == (True, False)
        hold.let_go()
        with pytest.raises(TimeoutError):
            await reader
        assert hold.is_out_of_room

    asyncio.run(both_at_once())


def test_unfinished_bodies_keep_neither_small_nor_large_ones_out() -> None:
    async def genuine(reader: Reader) -> None:
        for _ in range(8):
            await reader.sender(24 * MIB)
        for size in (10, 200 * 1024, 25 * MIB):
            sender = await reader.sender(0, size)
            await sender.send(size, last=True)
            await sender.end()
            assert sender.status == 200

    run(genuine)


def test_many_unfinished_small_bodies_keep_no_other_out() -> None:
    async def genuine(reader: Reader) -> None:
        for _ in range(100):
            await reader.sender(250 * 1024)
        sender = await reader.sender(0, 200 * 1024)
        await sender.send(200 * 1024, last=True)
        await sender.end()
        assert sender.status == 200

    run(genuine)


def test_bodies_that_are_being_worked_on_are_not_let_go() -> None:
    async def busy(reader: Reader) -> None:
        reader.may_answer.clear()
        first = [await reader.sender(0, 20 * MIB) for _ in range(3)]
        for each in first:
            await each.send(20 * MIB, last=True)
        late = await reader.sender(0, 20 * MIB)
        await late.send(20 * MIB, last=True)
        assert not late.is_over()
        reader.may_answer.set()
        await asyncio.gather(*(each.end() for each in (*first, late)))
        assert [each.status for each in (*first, late)] == [200] * 4

    run(busy)


def test_a_body_of_unknown_length_takes_the_most_it_may_have() -> None:
    async def unknown(reader: Reader) -> None:
        senders = [await reader.sender(MIB, None) for _ in range(3)]
        assert [each.taken == MIB for each in senders] == [True, True, False]

    run(unknown)


def test_there_is_no_room_for_long() -> None:
    async def full(reader: Reader) -> None:
        reader.may_answer.clear()
        for _ in range(3):
            await (await reader.sender(0, 20 * MIB)).send(20 * MIB, last=True)
        late = await reader.sender(MIB, 20 * MIB)
        await late.end()
        assert late.status == 503

    run(full, wait_seconds=0.05)


def test_a_body_that_dribbles() -> None:
    async def slow(reader: Reader) -> None:
        sender = await reader.sender(10)
        while not sender.is_over():
            await sender.send(1)
            await asyncio.sleep(0.01)
        assert sender.status == 408

    run(slow, block_seconds=0.1)
