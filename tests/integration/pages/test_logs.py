"""A log on a page: its end, earlier lines, long lines, and what is followed."""

from __future__ import annotations

import re

import pytest

from app.domain.redaction import Redactor
from app.domain.runs import Reason, Trigger, TriggerType
from app.logs import LogReader, Stream
from app.web.pages import logview
from tests.support.demo_world import Demo
from tests.support.seed import SUCCEEDED, World, failed
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


def test_the_head_of_a_failed_log_and_the_job_page_say_why(made: World) -> None:
    job = made.job("failing")
    run = made.run(job, NOW, log=b"one", outcome=failed(Reason.EXIT_NONZERO, "Exited with code 3.", 3))
    build = made.build(job, NOW, sha="a" * 40, log=b"one", state="failed")
    client = visitor(made)
    sentence = "Step “RUN npm ci” failed: exit code 1."
    head = read(client, f"/runs/{run}").split('id="log-title"')[1].split("</header>")[0]
    assert "Failed · exit 3" in head
    assert sentence in read(client, f"/builds/{build}").split('id="log-title"')[1].split("</header>")[0]
    page = read(client, "/projects/acme/jobs/failing")
    assert sentence in page.split(f'id="build-{build}"')[1].split("</li>")[0]
    assert "Failed · exit 3" in page.split(f'id="run-{run}"')[1].split("</tr>")[0]


def test_what_one_instance_and_stream_said_is_windowed_like_the_whole(made: World) -> None:
    job = made.job("several", instances=2)
    run = made.queue_run(job, NOW, Trigger(TriggerType.MANUAL, by="ada"))
    made.attempt(run, NOW)
    with made.log_storage.write_attempt(run, 1, Redactor([])) as writer:
        for number in range(1, 4001):
            stream = Stream.STDERR if number % 10 == 0 else Stream.STDOUT
            writer.write(NOW, stream, b"line %d\n" % number, number % 20 // 10)
    client = visitor(made)
    wanted = [number for number in range(1, 4001) if number % 20 == 10]
    page = read(client, f"/runs/{run}?attempt=1&instance=1&stream=stderr")
    seen, before = numbers(page), re.search(r'data-before="(\d*)"', page)
    assert before is not None
    place = before[1]
    while place:
        answer = client.get(f"/runs/{run}/log?attempt=1&instance=1&stream=stderr&before={place}")
        seen, place = numbers(answer.text) + seen, answer.headers["X-Log-Before"]
    assert seen == wanted
    made.end_attempt(run, SUCCEEDED, NOW)
    address = f"/runs/{run}/follow?attempt=1&instance=1&stream=stderr&from=0:1"
    followed = sse(read(client, address))
    assert [number for each in followed[:-1] for number in numbers(each["data"])] == wanted


GROUPED = (
    b"zero\n::group::One\nin one\nERROR in one\n::endgroup::\nbetween\n::group::Two\nin two\n::endgroup::"
)


def test_the_lines_of_a_build_are_shown_without_those_of_jobyard(made: World) -> None:
    build = made.build(made.job("built"), NOW, sha="a" * 40)
    with made.log_storage.write_build(build, Redactor([])) as writer:
        writer.note(NOW, "Fetching main")
        writer.write(NOW, Stream.STDOUT, b"Step 1\n")
    client = visitor(made)
    for address, has_ours in ((f"/builds/{build}", True), (f"/builds/{build}?stream=stdout", False)):
        page = read(client, address)
        rows = page[page.index("data-log-rows") :]
        assert ("Fetching main" in rows, "Step 1" in rows) == (has_ours, True)
    assert '<option value="stdout" selected>of the build</option>' in page
    assert f'href="/api/v1/builds/{build}/logs?stream=stdout"' in page
    assert "Step 1" in read(client, f"/builds/{build}?stream=stderr&instance=3")  # which no build has


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        (GROUPED, [1, 2, 6, 7]),
        (b"::group::Open\none\ntwo", [1, 2, 3]),
        (b"::group::One\none\n::group::Two\ntwo\n::endgroup::", [1, 2, 3]),
        (b"::group::One\none\n#Jobyard speaks\n::endgroup::", [1, 2, 3, 4]),
        (b"::group::\nnameless\n::endgroup::", [1]),
        (b"::group::Empty\n::endgroup::", [1, 2]),
    ],
    ids=["two groups", "not over", "another begins", "Jobyard speaks in it", "nameless", "empty"],
)
def test_groups_that_are_over_are_folded(made: World, log: bytes, shown: list[int]) -> None:
    run = made.run(made.job("grouped"), NOW, log=log, outcome=SUCCEEDED)
    assert numbers(read(visitor(made), f"/runs/{run}")) == shown


def test_a_folded_group_says_what_it_holds_and_opens_where_a_line_of_it_is_asked_for(made: World) -> None:
    run = made.run(made.job("grouped"), NOW, log=GROUPED, outcome=SUCCEEDED)
    client = visitor(made)
    page = read(client, f"/runs/{run}")
    assert "2 lines, 1 like an error" in page
    found = re.search(r'href="([^"]+)" data-fold="(\d+)"', page)
    assert found is not None
    assert numbers(read(client, found[1].replace("&amp;", "&").partition("#")[0])) == [1, 2, 3, 4, 5, 6, 7]
    assert numbers(client.get(f"/runs/{run}/log?attempt=1&from=0&open={found[2]}").text) == [
        1,
        2,
        3,
        4,
        5,
        6,
        7,
    ]
