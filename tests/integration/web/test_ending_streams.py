"""A stream that is followed ends with the right to follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from sse_starlette import ServerSentEvent

from app.web import live
from app.web.live import event
from app.web.server_context import ServerContext


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ASK_AGAIN_SECONDS", 0.01)


class Feed:
    """Says one thing, and then nothing until it is closed."""

    def __init__(self) -> None:
        self.is_closed = False

    async def events(self) -> AsyncGenerator[ServerSentEvent]:
        try:
            yield event("first")
            await asyncio.Event().wait()
        finally:
            self.is_closed = True


async def read(feed: Feed, answers: list[bool]) -> list[str]:
    said = live._while_allowed(feed.events(), lambda: answers.pop(0))
    return [str(each.data) async for each in said]


@pytest.mark.usefixtures("impatient")
def test_a_quiet_stream_ends_when_its_reader_may_read_no_longer() -> None:
    feed, answers = Feed(), [True, True, False]
    assert asyncio.run(asyncio.wait_for(read(feed, answers), 30)) == ["first"]
    assert answers == []
    assert feed.is_closed


def test_what_is_over_ends_by_itself() -> None:
    async def two() -> AsyncGenerator[ServerSentEvent]:
        yield event("one")
        yield event("two")

    async def all_of_it() -> list[str]:
        return [str(each.data) async for each in live._while_allowed(two(), lambda: False)]

    assert asyncio.run(all_of_it()) == ["one", "two"]


def test_who_stops_reading_closes_the_feed() -> None:
    feed = Feed()

    async def first() -> None:
        stream = live._while_allowed(feed.events(), lambda: True)
        async for _ in stream:
            break
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(asyncio.wait_for(first(), 30))
    assert feed.is_closed


def test_a_log_that_is_written_here_is_looked_at_rarely_as_each_piece_is_told(
    context: ServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience: list[float | None] = []

    async def heard(_ear: live.Ear, seconds: float | None) -> frozenset[str]:
        patience.append(seconds)
        return frozenset({"log:run:1"} if len(patience) == 2 else ())

    async def listen(every: float | None) -> list[float | None]:
        changes = live.changes(context, ["run:1", "log:run:1"], every)
        patience.clear()
        for _ in range(4):
            await anext(changes)
        await changes.aclose()  # type: ignore[attr-defined]
        return [*patience]

    monkeypatch.setattr(live.Ear, "wait", heard)
    assert asyncio.run(listen(1.0)) == [1.0, 1.0, live.RARE_SECONDS]
    assert asyncio.run(listen(None)) == [None, None, None]
