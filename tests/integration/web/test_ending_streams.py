"""A stream that is followed ends with the right to follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from sse_starlette import ServerSentEvent

from app.domain.redaction import Redactor
from app.web import event_streams, live
from app.web.event_streams import Feed, _Merged
from app.web.live import event
from app.web.server_context import ServerContext


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "ASK_AGAIN_SECONDS", 0.01)


class Talker:
    """Says one thing, and then nothing until it is closed."""

    def __init__(self) -> None:
        self.is_closed = False

    async def events(self) -> AsyncGenerator[ServerSentEvent]:
        try:
            yield event("first")
            await asyncio.Event().wait()
        finally:
            self.is_closed = True


async def _two() -> AsyncGenerator[ServerSentEvent]:
    yield event("one")
    yield event("two")


class Reader:
    """May read in `projects`, one set for each look; None among them is anywhere."""

    def __init__(self, *projects: set[int | None]) -> None:
        self.looks = list(projects)
        self.asked: list[frozenset[int | None]] = []

    def readable(self, asked: frozenset[int | None]) -> frozenset[int | None]:
        self.asked.append(asked)
        return asked & self.looks.pop(0)

    def read(self, **feeds: Feed) -> list[str]:
        """All that is said, with the keys of feeds; `KEY over` where one is."""

        async def all_of_it() -> list[str]:
            said = _Merged(feeds, self.readable, 0.01).events()
            return [f"{key} {each.data if each else 'over'}" async for key, each in said]

        return asyncio.run(asyncio.wait_for(all_of_it(), 30))


@pytest.mark.usefixtures("impatient")
def test_a_quiet_stream_ends_without_a_word_when_its_reader_may_read_no_longer() -> None:
    talker, reader = Talker(), Reader({None}, {None}, set())
    assert reader.read(a=Feed(talker.events())) == ["a first"]
    assert reader.asked == [{None}] * 3
    assert talker.is_closed


@pytest.mark.usefixtures("impatient")
def test_one_look_asks_for_all_feeds_and_ends_those_of_projects_that_were_lost() -> None:
    mine, theirs = Talker(), Talker()
    reader = Reader({None, 1, 2}, {None, 1}, {1})
    said = reader.read(a=Feed(mine.events(), 1), b=Feed(theirs.events(), 2))
    assert sorted(said) == ["a first", "b first", "b over"]
    assert reader.asked == [{None, 1, 2}, {None, 1, 2}, {None, 1}]
    assert mine.is_closed
    assert theirs.is_closed


def test_what_is_over_ends_by_itself() -> None:
    assert Reader().read(a=Feed(_two())) == ["a one", "a two", "a over"]


def test_a_slow_reader_is_told_in_order_and_feeds_run_no_further_ahead_than_one_event() -> None:
    said: list[int] = []

    async def counting() -> AsyncGenerator[ServerSentEvent]:
        for number in range(5):
            said.append(number)
            yield event(str(number))

    async def slowly() -> None:
        heard = 0
        async for _, each in _Merged({"a": Feed(counting())}, frozenset, 60).events():
            for _ in range(10):
                await asyncio.sleep(0)
            if each is not None:
                assert each.data == str(heard)
                heard += 1
                assert len(said) <= heard

    asyncio.run(asyncio.wait_for(slowly(), 30))
    assert said == [0, 1, 2, 3, 4]


def test_what_a_feed_raises_reaches_the_reader() -> None:
    async def broken() -> AsyncGenerator[ServerSentEvent]:
        yield event("one")
        raise OSError("no such log")

    with pytest.raises(OSError, match="no such log"):
        Reader().read(a=Feed(broken()))


@pytest.mark.usefixtures("impatient")
def test_what_a_look_raises_ends_the_stream() -> None:
    def failing(_asked: frozenset[int | None]) -> frozenset[int | None]:
        raise OSError("the store is gone")

    async def read() -> None:
        async for _ in _Merged({"a": Feed(talker.events())}, failing, 0.01).events():
            pass

    talker = Talker()
    with pytest.raises(OSError, match="the store is gone"):
        asyncio.run(asyncio.wait_for(read(), 30))
    assert talker.is_closed


def test_who_stops_reading_closes_the_feed() -> None:
    talker = Talker()

    async def first() -> None:
        said = _Merged({"a": Feed(talker.events())}, frozenset, 60).events()
        async for _ in said:
            break
        await said.aclose()

    asyncio.run(asyncio.wait_for(first(), 30))
    assert talker.is_closed


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
    assert asyncio.run(listen(1.0)) == [1.0, 1.0, 1.0]  # another server's, which may be heard of late
    with context.log_storage.write_attempt(1, 1, Redactor([])):
        assert asyncio.run(listen(1.0)) == [1.0, 1.0, live.RARE_SECONDS]
        assert asyncio.run(listen(None)) == [None, None, None]
