"""Many who follow one log have one reader of it, and each is told everything once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

import pytest
from sse_starlette import ServerSentEvent

from app.domain.redaction import Redactor
from app.logs import LogReader, Stream
from app.web.pages import logfollow
from app.web.pages.logfollow import Feeds, Followed, follow_from
from app.web.pages.logrows import Place
from app.web.pages.logview import View
from tests.support.seed import World
from tests.support.visiting import NOW

READERS = 20


class Following:
    """Readers of the log of attempt 1 of run 7, which somebody else writes."""

    def __init__(self, made: World) -> None:
        self.made = made
        self.feeds = Feeds()
        self.is_over = False
        self.begun = 0  # readers who have been told something
        self.has_begun = asyncio.Condition()
        self.writer = made.log_storage.write_attempt(7, 1, Redactor([]))
        log = LogReader(made.log_storage.attempt_path(7, 1))
        topics = frozenset({"log:run:7", "run:7"})
        self.followed = Followed(
            View(log).unfolded, topics, lambda: self.is_over, Place("/runs/7?attempt=1", "")
        )

    async def read(
        self, offset: int, number: int, until: Callable[[list[str]], bool] | None = None
    ) -> list[str]:
        """The events of one reader, as `NAME ID`; to the end, or until there is enough."""
        events: AsyncGenerator[ServerSentEvent] = follow_from(
            self.made.context, self.feeds, self.followed, offset, number
        )
        told: list[str] = []
        async for each in events:
            told.append(f"{each.event} {each.id}")
            if len(told) == 1:
                async with self.has_begun:
                    self.begun += 1
                    self.has_begun.notify_all()
            if until is not None and until(told):
                break
        await events.aclose()
        return told

    async def wait_for(self, readers: int) -> None:
        async with self.has_begun:
            await self.has_begun.wait_for(lambda: self.begun == readers)

    async def write(self, text: bytes) -> None:
        await asyncio.to_thread(self.writer.write, NOW, Stream.STDOUT, text)

    async def end(self) -> None:
        await asyncio.to_thread(self.writer.close)
        self.is_over = True
        self.made.context.signals.publish(frozenset({"run:7"}))


@pytest.fixture
def following(made: World) -> Following:
    return Following(made)


def test_a_line_is_made_html_once_for_all(following: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    html = logfollow.html

    def counting(lines: Any, place: Place) -> str:
        listed = list(lines)
        made.extend(line.number for line in listed)
        return html(listed, place)

    monkeypatch.setattr(logfollow, "html", counting)

    async def all_of_them() -> list[list[str]]:
        await following.write(b"line 0\n")
        readers = [asyncio.create_task(following.read(0, 1)) for _ in range(READERS)]
        await following.wait_for(READERS)
        for number in range(1, 50):
            await following.write(b"line %d\n" % number)
        await following.end()
        return await asyncio.gather(*readers)

    told = asyncio.run(asyncio.wait_for(all_of_them(), 60))
    assert all(each[-1] == "end None" for each in told)
    assert all(each[-2] == "lines 390:51" for each in told)
    assert [number for number in made if number > 1] == list(range(2, 51))
    assert len(following.made.context.signals._listeners) == 0


def test_who_comes_later_is_told_what_was_before_and_goes_on_with_the_others(following: Following) -> None:
    async def one_after_the_other() -> tuple[list[str], list[str]]:
        await following.write(b"one\n")
        first = asyncio.create_task(following.read(0, 1))
        await following.wait_for(1)
        await following.write(b"two\nthr")
        second = asyncio.create_task(following.read(4, 2))
        await following.wait_for(2)
        await following.write(b"ee\n")
        await following.end()
        return await first, await second

    first, second = asyncio.run(asyncio.wait_for(one_after_the_other(), 60))
    assert first[-2:] == ["lines 14:4", "end None"]
    assert second[-2:] == ["lines 14:4", "end None"]


def test_one_who_is_too_slow_begins_anew_where_they_were(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfollow, "_MOST_WAITING", 2)

    async def slowly() -> list[str]:
        events = follow_from(following.made.context, following.feeds, following.followed, 0, 1)
        quick = asyncio.create_task(following.read(0, 1))
        await following.write(b"0\n")
        told = [await anext(events)]
        for number in range(1, 10):
            await following.write(b"%d\n" % number)
            await following.read(0, 1, until=lambda told, number=number: told[-1].endswith(f":{number + 2}"))
        await following.end()
        with suppress(StopAsyncIteration):
            while True:
                told.append(await anext(events))
        await quick
        return [text for each in told for text in _texts(str(each.data))]

    assert asyncio.run(asyncio.wait_for(slowly(), 60)) == [str(number) for number in range(10)]


def _texts(html: str) -> list[str]:
    return [part.split("</span>")[0] for part in html.split('<span class="x">')[1:]]


def test_when_the_last_has_left_nobody_reads_and_the_next_begins_again(following: Following) -> None:
    async def twice() -> tuple[list[str], list[str]]:
        await following.write(b"one\n")
        first = await following.read(0, 1, until=bool)
        await following.write(b"two\n")
        await following.end()
        return first, await following.read(4, 2)

    first, second = asyncio.run(asyncio.wait_for(twice(), 60))
    assert (first, second) == (["lines 4:2"], ["lines 8:3", "end None"])


def test_who_comes_as_the_last_leaves_is_told_what_follows(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a browser does that begins a new connection for what it follows, and ends the one before."""
    next_lines = logfollow.next_lines
    is_reading, may_go_on = threading.Event(), threading.Event()

    def held(*given: Any) -> Any:
        is_reading.set()
        assert may_go_on.wait(20)
        return next_lines(*given)

    async def changing_hands() -> list[str]:
        await following.write(b"one\n")
        before = follow_from(following.made.context, following.feeds, following.followed, 0, 1)
        await anext(before)
        monkeypatch.setattr(logfollow, "next_lines", held)
        after = asyncio.create_task(following.read(4, 2))
        await asyncio.to_thread(is_reading.wait, 20)
        await before.aclose()
        may_go_on.set()
        await following.write(b"two\n")
        await following.end()
        return await after

    assert asyncio.run(asyncio.wait_for(changing_hands(), 60)) == ["lines 8:3", "end None"]


def test_what_reading_raises_is_told_to_who_follows(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    async def reading() -> None:
        await following.write(b"one\n")
        reader = asyncio.create_task(following.read(0, 1))
        await following.wait_for(1)
        monkeypatch.setattr(logfollow, "next_lines", broken)
        await following.write(b"two\n")
        await reader

    with pytest.raises(OSError, match="the disk is gone"):
        asyncio.run(asyncio.wait_for(reading(), 60))
