"""The page of a run: its containers, and who is offered a shell in them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.commands.run_differences import CommitRanges
from app.commands.shells import Shells
from app.domain.events import Commit
from app.domain.output import Stream
from app.domain.redaction import Redactor
from app.domain.runs import Outcome, Reason, Trigger, TriggerType
from app.engines.base import Capability, Handle, Node
from app.store import run_attempts, runs
from app.store.schema import ContainerRow
from tests.support.seed import SUCCEEDED, World, world
from tests.support.visiting import read, visitor

DASH = "\u2013"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        yield each


def cells(page: str) -> list[list[str]]:
    """What the table of containers says, row by row."""
    rows = re.findall(r"<tr data-instance=.*?</tr>", page, re.DOTALL)
    return [
        [
            " ".join(re.sub(r"<[^>]+>", " ", cell).split())
            for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)
        ]
        for row in rows
    ]


def end_container(made: World, run_id: int, instance: int, outcome: Outcome, at: datetime) -> None:
    with made.db.write() as tx:
        run = runs.with_id(tx, run_id)
        attempt = run_attempts.attempts_of(tx, run_id)[-1]
        container = run_attempts.containers_of(tx, attempt.id)[instance]
        assert run_attempts.container_ended(tx, run, container, outcome, at)


class TestContainers:
    def test_each_says_how_it_is_or_was_counted_as_the_container_is_told(self, made: World) -> None:
        run_id = made.run(made.job("many", instances=3), NOW)
        failure = Outcome(Reason.EXIT_NONZERO, 3, "Exited with code 3.", NOW)
        end_container(made, run_id, 1, failure, NOW + timedelta(seconds=20))
        end_container(made, run_id, 2, replace(SUCCEEDED, ended_at=NOW), NOW + timedelta(seconds=5))
        first, second, third = cells(read(visitor(made), f"/runs/{run_id}"))
        assert first[:3] == ["0", "Running", DASH]
        assert second[:4] == ["1", "Failed", "3", "20 s"]
        assert third[:4] == ["2", "Succeeded", "0", "5.0 s"]
        assert second[4] == "Log of instance 1"

    def test_the_node_is_shown_where_the_engine_names_one(self, made: World) -> None:
        run_id = made.run(made.job("many", instances=2), NOW)
        assert "Node</th>" not in read(visitor(made), f"/runs/{run_id}")
        with made.db.write() as tx:
            attempt = run_attempts.attempts_of(tx, run_id)[-1]
            row = tx.get_one(ContainerRow, run_attempts.containers_of(tx, attempt.id)[1].id)
            row.handle = Handle("swarm", "1-1-1", "c1", "jy-1", "machine-two").to_json()
        page = read(visitor(made), f"/runs/{run_id}")
        assert "Node</th>" in page
        assert [each[3] for each in cells(page)] == [DASH, "machine-two"]

    def test_one_of_an_attempt_that_is_over_has_its_end(self, made: World) -> None:
        run_id = made.run(made.job("once"), NOW, seconds=30, outcome=SUCCEEDED)
        ((instance, state, code, took, opens),) = cells(read(visitor(made), f"/runs/{run_id}"))
        assert (instance, state, took, opens) == ("0", "Succeeded", "30 s", "")
        assert code == DASH


FAILURE = Outcome(Reason.EXIT_NONZERO, 1, "Exited with code 1.")
LOG = b"""reading 3 files
!Traceback (most recent call last):
!  File "report.py", line 3, in <module>
!    main()
!ValueError: no such <b>month</b>
"""


def part(page: str, name: str) -> str:
    """The text of one section of the page."""
    found = re.search(rf"<section[^>]* data-{name}>.*?</section>", page, re.DOTALL)
    return "" if found is None else " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


class TestFailure:
    def test_the_last_error_lines_come_first(self, made: World) -> None:
        run_id = made.run(made.job("report"), NOW, outcome=FAILURE, log=LOG)
        page = read(visitor(made), f"/runs/{run_id}")
        assert part(page, "tail").startswith(
            "Last error lines In the log Traceback (most recent call last): File"
        )
        assert part(page, "tail").endswith("ValueError: no such &lt;b&gt;month&lt;/b&gt;")
        assert page.index("data-tail") < page.index("data-log=")
        assert "&amp;at=16" in page

    def test_of_many_lines_the_first_and_the_last(self, made: World) -> None:
        frames = b"".join(b"!  frame %d\n" % number for number in range(25))
        log = b"!Traceback (most recent call last):\n" + frames + b"!ValueError\n"
        page = read(visitor(made), f"/runs/{made.run(made.job('report'), NOW, outcome=FAILURE, log=log)}")
        lines = re.findall(r'<pre class="tail"[^>]*>(.*?)</pre>', page, re.DOTALL)[0].split("\n")
        assert (lines[0], lines[2].strip(), lines[-1]) == (
            "Traceback (most recent call last):",
            "frame 20",
            "ValueError",
        )

    @pytest.mark.parametrize(
        ("log", "shown"),
        [(b"one\n!two\nthree\n", "two"), (b"one\ntwo\n", "one two")],
        ids=["standard error", "what there is"],
    )
    def test_without_an_error_the_end_of_the_log(self, made: World, log: bytes, shown: str) -> None:
        page = read(visitor(made), f"/runs/{made.run(made.job('report'), NOW, outcome=FAILURE, log=log)}")
        assert part(page, "tail") == f"Last error lines In the log {shown}"

    def test_of_several_instances_it_is_the_one_that_failed_first(self, made: World) -> None:
        job = made.job("many", instances=2)
        run_id = made.queue_run(job, NOW, Trigger(TriggerType.MANUAL))
        made.attempt(run_id, NOW)
        with made.log_storage.write_attempt(run_id, 1, Redactor([])) as writer:
            for instance in (0, 1):
                writer.write(NOW, Stream.STDERR, b"error of %d\n" % instance, instance)
        end_container(made, run_id, 1, replace(FAILURE, ended_at=NOW), NOW)
        end_container(made, run_id, 0, replace(FAILURE, ended_at=NOW), NOW + timedelta(seconds=1))
        made.end_attempt(run_id, FAILURE, NOW)
        page = read(visitor(made), f"/runs/{run_id}")
        assert part(page, "tail") == "Last error lines of instance 1 In the log error of 1"

    def test_neither_is_shown_of_a_run_that_did_not_fail(self, made: World) -> None:
        job = made.job("report")
        for outcome in (SUCCEEDED, None):
            page = read(visitor(made), f"/runs/{made.run(job, NOW, outcome=outcome, log=LOG)}")
            assert "data-tail" not in page
            assert "data-differs" not in page

    def test_what_differs_from_the_last_green_run(self, made: World) -> None:
        job = made.job("report", env={"MODE": "full", "KEY": {"value": "x", "secret": True}})
        green = {
            "sha": "a" * 40,
            "image": "sha256:" + "1" * 64,
            "build_id": made.build(job, NOW, sha="a" * 40),
        }
        made.run(job, NOW, seconds=41, outcome=SUCCEEDED, **green)
        build = made.build(job, NOW, sha="b" * 40, message="Read months\n\nMore.")
        red = {"sha": "b" * 40, "image": "sha256:" + "2" * 64, "build_id": build}
        changed = {"env": {"MODE": "quick", "NEW": "1"}, "plan": "medium"}
        run_id = made.run(job, NOW, seconds=3, outcome=FAILURE, overrides=changed, **red)
        page = read(visitor(made), f"/runs/{run_id}")
        said = part(page, "differs")
        assert "Commits aaaaaaa … bbbbbbb Compare" in said
        assert "What lies between them is not known here." in said
        assert "Image sha256:11111111…11 → sha256:22222222…22" in said
        assert "env.MODE full → quick" in said
        assert "env.NEW nothing → 1" in said
        assert "plan small → medium" in said
        assert "KEY" not in said
        assert "Took 41 s → 3.0 s" in said
        assert f"https://github.com/acme/report/compare/{'a' * 40}...{'b' * 40}" in page
        assert f"https://github.com/acme/report/commit/{'b' * 40}" in page
        assert "Read months" in page
        assert "More." not in page

    def test_the_commits_between_are_listed(self, made: World) -> None:
        job = made.job("report")
        asked: list[tuple[str, str, str]] = []

        def ask(url: str, before: str, after: str, limit: int) -> list[Commit]:
            asked.append((url, before, after))
            return [Commit(f"{number:040x}", f"Change {number}", "Ada") for number in range(limit)]

        made.installation.web = replace(made.installation.web, commit_ranges=CommitRanges(ask))
        made.run(job, NOW, outcome=SUCCEEDED, sha="a" * 40)
        build = made.build(job, NOW, sha="b" * 40)
        run_id = made.run(job, NOW, outcome=FAILURE, sha="b" * 40, build_id=build)
        for _ in range(2):
            said = part(read(visitor(made), f"/runs/{run_id}"), "differs")
            assert "0000000 Change 0 Ada" in said
            assert "Change 19 Ada and older ones" in said
        assert asked == [("https://github.com/acme/report", "a" * 40, "b" * 40)]  # Git is asked once

    def test_nothing_differs(self, made: World) -> None:
        job = made.job("report", env={"KEY": {"value": "x", "secret": True}})
        made.run(job, NOW, outcome=SUCCEEDED)
        said = part(read(visitor(made), f"/runs/{made.run(job, NOW, outcome=FAILURE)}"), "differs")
        assert "Nothing: image, commit and configuration are the same." in said
        assert "Values of secrets are not compared." in said

    def test_where_none_was_green_nothing_is_compared(self, made: World) -> None:
        job, other = made.job("report"), made.job("other")
        made.run(other, NOW, outcome=SUCCEEDED)
        run_id = made.run(job, NOW, outcome=FAILURE)
        made.run(job, NOW, outcome=SUCCEEDED)
        assert "data-differs" not in read(visitor(made), f"/runs/{run_id}")


def test_usually_is_said_from_three_other_runs_on(made: World) -> None:
    job = made.job("report")
    last = [made.run(job, NOW, seconds=30, outcome=SUCCEEDED) for _ in range(4)]
    client = visitor(made)
    assert "usually 30 s" in read(client, f"/runs/{last[-1]}")
    job = made.job("young")
    last = [made.run(job, NOW, seconds=30, outcome=SUCCEEDED) for _ in range(3)]
    assert "usually" not in read(client, f"/runs/{last[-1]}")


class TestShell:
    def test_it_is_offered_where_something_runs(self, made: World) -> None:
        job = made.job("many", instances=2)
        page = read(visitor(made), f"/runs/{made.run(job, NOW)}")
        assert re.findall(r'data-shell-open="(\d)"', page) == [
            "0",
            "1",
            "0",
            "1",
        ]  # beside the log, and in the table
        assert 'data-pane="log"' in page
        assert 'data-pane="shell"' in read(visitor(made), "/runs/1?tab=shell")
        assert 'data-address="/api/v1/runs/1/attempts/1/shell"' in page
        page = read(visitor(made), f"/runs/{made.run(made.job('over'), NOW, outcome=SUCCEEDED)}")
        assert "data-shell-open" not in page
        assert "No container of this attempt is running, so there is none to open a shell in." in page

    def test_nodes_are_shown_with_what_is_reserved_of_them(self, made: World) -> None:
        assert "machines" not in read(visitor(made), "/settings")
        size = {"cpus": 4.0, "memory_bytes": 8 << 30}
        nodes = [
            Node(
                "alpha", "ready", True, **size, reserved_cpus=1.5, reserved_memory_bytes=1 << 29, containers=3
            ),
            Node("<beta>", "down", False, **size, reserved_cpus=0, reserved_memory_bytes=0, containers=0),
        ]
        made.health = replace(made.health, nodes=nodes)
        page = read(visitor(made), "/settings")
        assert "1.5 of 4" in page
        assert "0.5 of 8 GiB" in page
        assert "3 containers" in page
        assert 'data-status="failed">Down' in page
        assert "&lt;beta&gt;" in page

    def test_an_engine_without_shells_and_readings_says_why(self, made: World) -> None:
        lacks = {Capability.SHELL: "It opens no shell.", Capability.STATS: "It tells nothing of memory."}
        page_of = f"/runs/{made.run(made.job('far'), NOW)}?tab=shell"
        assert not any(sentence in read(visitor(made), page_of) for sentence in lacks.values())
        made.health = replace(made.health, lacks=lacks)
        for address in (page_of, "/settings"):
            page = read(visitor(made), address)
            assert all(sentence in page for sentence in lacks.values())
            assert "data-shell-open" not in page
        assert visitor(made).get("/readyz").json()["lacks"] == {
            "shell": "It opens no shell.",
            "stats": "It tells nothing of memory.",
        }

    @pytest.mark.parametrize("role", ["viewer", "operator"])
    def test_it_is_not_offered_to_who_may_not(self, made: World, role: str) -> None:
        run_id = made.run(made.job("many"), NOW)
        page = read(visitor(made, role), f"/runs/{run_id}?tab=shell")
        assert "data-shell" not in page
        assert 'data-pane="log"' in page

    def test_it_is_not_offered_where_shells_are_switched_off(self, made: World) -> None:
        run_id = made.run(made.job("many"), NOW)
        web = made.installation.web
        off = Shells(web.db, made.installation.engine, "one", most=0, idle_minutes=15)
        made.installation.web = replace(web, shells=off)
        assert "data-shell" not in read(visitor(made), f"/runs/{run_id}")


class TestFindingWithoutScripts:
    """Lines are found by the page itself, each with the way to it."""

    def found(self, page: str) -> list[tuple[str, str, str]]:
        return re.findall(
            r'<li><a class="link" href="([^"]*)">(\d+)</a> <code class="grow">(.*?)</code>', page
        )

    def test_each_line_found_leads_to_its_place(self, made: World) -> None:
        run_id = made.run(made.job("report"), NOW, outcome=FAILURE, log=LOG)
        client = visitor(made)
        path = read(client, f"/runs/{run_id}?find=MONTH")
        assert "Lines with “MONTH”:" in path
        ((href, number, text),) = self.found(path)
        assert (number, text) == ("5", "ValueError: no such &lt;b&gt;month&lt;/b&gt;")
        assert "ValueError" in read(client, html.unescape(href))
        assert "No line with “year” was found here." in read(client, f"/runs/{run_id}?find=year")
        assert (
            "/api/v1"
            not in path[path.index("<noscript><p") : path.index("</noscript>", path.index("<noscript><p"))]
        )

    def test_many_are_found_some_at_a_time(self, made: World) -> None:
        log = b"".join(b"line %d\n" % number for number in range(120))
        run_id = made.run(made.job("report"), NOW, outcome=SUCCEEDED, log=log)
        client, path, lines = visitor(made), f"/runs/{run_id}?find=line", []
        while path:
            page = read(client, path)
            lines += [text for _, _, text in self.found(page)]
            more = re.findall(r'href="([^"]*)">Look further', page)
            path = html.unescape(more[0]) if more else ""
        assert lines == [f"line {number}" for number in range(120)]
