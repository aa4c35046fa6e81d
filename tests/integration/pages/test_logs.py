"""A log on a page: its end, earlier lines, long lines, and what is followed."""

from __future__ import annotations

import re

import pytest

from app.logs import LogReader
from app.web.pages import logview
from tests.support.demo_world import Demo
from tests.support.seed import SUCCEEDED, World
from tests.support.sse import sse
from tests.support.visiting import NOW, read, visitor


def long_log(made: World, lines: int) -> tuple[int, LogReader]:
    job = made.job("long")
    run = made.run(job, NOW, log=b"\n".join(b"line %d" % number for number in range(1, lines + 1)))
    return run, made.log_storage.reader(run, 1)


def numbers(html: str) -> list[int]:
    return [int(each) for each in re.findall(r'tabindex="-1">(\d+)</a>', html)]


def test_a_long_log_shows_its_end_and_loads_earlier_lines_without_gap(made: World) -> None:
    run, _ = long_log(made, 3500)
    client = visitor(made)
    page = read(client, f"/runs/{run}")
    seen = numbers(page)
    assert seen == list(range(3251, 3501))
    found = re.search(r'data-before="(\d+)"', page)
    assert found is not None
    before = found[1]
    while before:
        answer = client.get(f"/runs/{run}/log?attempt=1&before={before}")
        earlier = numbers(answer.text)
        assert 0 < len(earlier) <= logview.WINDOW
        seen = earlier + seen
        before = answer.headers["X-Log-Before"]
    assert seen == list(range(1, 3501))


def test_a_link_to_a_line_shows_it_with_its_surroundings(made: World) -> None:
    run, log = long_log(made, 3500)
    offset = next(line.offset for line in log.lines() if line.number == 1700)
    client = visitor(made)
    page = read(client, f"/runs/{run}?attempt=1&at={offset}")
    assert numbers(page) == list(range(1600, 1850))
    found = re.search(r'data-after="(\d+)"', page)
    assert found is not None
    answer = client.get(f"/runs/{run}/log?attempt=1&from={found[1]}")
    assert numbers(answer.text) == list(range(1850, 2100))


def test_a_line_beyond_the_end_is_no_error(made: World) -> None:
    run, _ = long_log(made, 10)
    page = read(visitor(made), f"/runs/{run}?attempt=1&at=99999999")
    assert numbers(page) == list(range(1, 11))


def test_log_lines_are_coloured_by_class_and_overwritten_by_carriage_returns(made: World) -> None:
    job = made.job("colours")
    run = made.run(
        job,
        NOW,
        log=b"\x1b[1;31mred\x1b[0m plain\n10%\r50%\r100%\n!Traceback (most recent call last)\n0 errors\n#our own",
    )
    page = read(visitor(made), f"/runs/{run}")
    rows = re.findall(
        r'<div class="row( err)?" data-o="\d+" data-stream="(\w+)".*?<span class="x">(.*?)</span></div>', page
    )
    assert [(bool(error), stream) for error, stream, _ in rows] == [
        (False, "stdout"),
        (False, "stdout"),
        (True, "stderr"),
        (False, "stdout"),
        (False, "system"),
    ]
    assert rows[0][2] == '<span class="ansi-bold ansi-fg-red">red</span> plain'
    assert rows[1][2] == "100%"


@pytest.mark.parametrize(
    "log",
    [
        b"x" * 6_000_000,
        b"\x1b[1;3;4;7;9;95;105m" + b"&\x1b[1m&\x1b[22m" * 200_000,
        b"\n" * 5000,
        b"'\0\n" * 5000,
        (b"x" * 5000 + b"\n") * 400,
        b"".join(b"%d%%\r" % (number % 100) for number in range(400_000)),
    ],
    ids=["one line", "colours", "empty lines", "short lines", "long lines", "a progress bar"],
)
def test_no_log_makes_a_heavy_page(made: World, log: bytes) -> None:
    run = made.run(made.job("heavy"), NOW, log=log, outcome=SUCCEEDED)
    client = visitor(made)
    page = read(client, f"/runs/{run}")
    assert len(page.encode()) < logview.HEAVIEST + 100_000
    followed = read(client, f"/runs/{run}/follow?attempt=1&from=0:1")
    assert all(len(each["data"]) < logview.HEAVIEST + 100_000 for each in sse(followed) if "data" in each)
    assert numbers(page)[-1] == log.count(b"\n") + 1


def test_the_rest_of_a_long_line_is_a_link_away(made: World) -> None:
    line = b"".join(b"%07d " % number for number in range(100_000))
    run = made.run(made.job("wide"), NOW, log=b"before\n" + line + b"\nafter")
    client = visitor(made)
    page = read(client, f"/runs/{run}")
    assert numbers(page) == [1, 2, 3]
    found = re.search(r'<a class="rest" href="([^"]*)">… ([\d,]*) more bytes</a>', page)
    assert found is not None
    address, size = found[1].replace("&amp;", "&"), int(found[2].replace(",", ""))
    assert 790_000 < size < len(line)
    rest = client.get(address)
    assert rest.content == line[-size:]
    assert line[:-size].decode() in page


def test_a_long_line_is_followed_as_one_row(made: World) -> None:
    job = made.job("growing")
    run = made.run(job, NOW, log=b"one\n" + b"x" * 200_000, outcome=SUCCEEDED)
    events = sse(read(visitor(made), f"/runs/{run}/follow?attempt=1&from=0:1"))
    assert [each["event"] for each in events] == ["lines", "end"]
    assert numbers(events[0]["data"]) == [1, 2]
    assert events[0]["id"] == "200005:3"


@pytest.mark.parametrize("instances", [1, 2])
def test_a_log_line_says_which_instance_and_stream_it_is_from(made: World, instances: int) -> None:
    run = made.run(made.job("several", instances=instances), NOW, log=b"plain\n!oops\n#our own")
    client = visitor(made)
    for page in (read(client, f"/runs/{run}"), client.get(f"/runs/{run}/log?attempt=1&from=0").text):
        rows = page.split('<div class="row')[1:]
        assert ['<span class="s">stderr</span>' in row for row in rows] == [False, True, False]
        assert ['title="Instance 0">0</span>' in row for row in rows] == [instances > 1, instances > 1, False]


def test_following_an_ended_log_gives_the_rest_and_ends(made: World) -> None:
    job = made.job("ended")
    run = made.run(job, NOW, log=b"one\ntwo\nthree", outcome=SUCCEEDED)
    events = sse(read(visitor(made), f"/runs/{run}/follow?attempt=1&from=4:2"))
    assert [each["event"] for each in events] == ["lines", "end"]
    assert numbers(events[0]["data"]) == [2, 3]
    resumed = visitor(made).get(
        f"/runs/{run}/follow?attempt=1&from=0:1", headers={"Last-Event-ID": events[0]["id"]}
    )
    assert [each["event"] for each in sse(resumed.text)] == ["end"]


def test_who_is_far_behind_is_shown_the_end(made: World) -> None:
    job = made.job("far")
    run = made.run(
        job,
        NOW,
        log=b"\n".join(b"%07d %s" % (number, b"x" * 100) for number in range(12_000)),
        outcome=SUCCEEDED,
    )
    events = sse(read(visitor(made), f"/runs/{run}/follow?attempt=1&from=0:1"))
    assert [each["event"] for each in events] == ["reset", "end"]
    assert numbers(events[0]["data"])[-1] == 12_000


@pytest.mark.parametrize("query", ["", "attempt=1", "attempt=x&from=0:1", "attempt=1&from=x"])
def test_following_nonsense_is_refused(made: World, demo: Demo, query: str) -> None:
    read(visitor(made), f"/runs/{demo.finished_run}/follow?{query}", 400)


def test_streams_are_for_those_who_are_logged_in(made: World, demo: Demo) -> None:
    for path in (
        "/live?topics=runs",
        f"/runs/{demo.finished_run}/follow?attempt=1&from=0:1",
        f"/builds/{demo.build}/follow?from=0:1",
    ):
        assert visitor(made, None).get(path).status_code == 303


def test_the_download_is_the_logs_own_bytes(made: World, demo: Demo) -> None:
    client = visitor(made)
    for path in (f"/runs/{demo.failed_run}", f"/builds/{demo.build}"):
        found = re.search(r'href="(/api/v1/[^"]+)" download', read(client, path))
        assert found is not None
        assert b"\x1b[" in client.get(found[1].replace("&amp;", "&")).content
