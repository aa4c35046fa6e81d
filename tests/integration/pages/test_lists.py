"""The pages of all runs, builds and decisions: what filters leave, both ways through it, and who sees what."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from app.commands.sessions import Client as Browser
from app.commands.sessions import open_session
from app.domain.decisions import EventType, Verdict
from app.domain.job.records import Job
from app.domain.principals import Role
from app.domain.runs import Reason, Trigger, TriggerType
from app.store import lists, run_lists, users
from app.store.lists import Place
from app.store.run_lists import RunFilter
from app.web.principal import COOKIE
from tests.support.client import Client
from tests.support.demo_world import Demo
from tests.support.seed import SUCCEEDED, World, failed
from tests.support.visiting import NOW, OURS, read, visitor

FAILED = failed(Reason.EXIT_NONZERO, "Exited with code 1")
BY_HAND = Trigger(TriggerType.MANUAL, by="ada", cause="Started by ada.")


def names(page: str) -> list[str]:
    return re.findall(r'<a class="name" href="/(?:runs|builds)/([^"]+)"', page)


def links(page: str) -> dict[str, str]:
    """Where the buttons of the pager lead, by what they say."""
    found = re.findall(r'<a class="btn"[^>]* href="([^"]+)">(Newest|Newer|Older|Oldest)</a>', page)
    return {word: html.unescape(href) for href, word in found}


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def fill(made: World, job: Job, number: int) -> list[str]:
    """So many runs a minute after one another, every fourth failed; their names, newest first."""
    for each in range(number):
        outcome = FAILED if each % 4 == 3 else SUCCEEDED
        made.run(job, NOW - timedelta(minutes=number - each), seconds=each + 1, outcome=outcome)
    with made.db.read() as tx:
        found, _ = run_lists.page(tx, RunFilter(job_id=job.id), lists.NEWEST, number)
    return [run.name for run in found]


def test_runs_are_walked_from_the_newest_to_the_first_and_back(made: World) -> None:
    expected, client = fill(made, made.job("report"), 120), visitor(made)
    pages = [read(client, "/runs")]
    assert set(links(pages[0])) == {"Older", "Oldest"}
    while "Older" in links(pages[-1]):
        pages.append(read(client, links(pages[-1])["Older"]))
    assert [name for page in pages for name in names(page)] == expected
    assert len(pages) == 3
    back = read(client, links(pages[-1])["Newer"])
    assert names(back) == names(pages[1])
    assert names(read(client, links(back)["Newer"])) == names(pages[0])
    first = read(client, links(pages[0])["Oldest"])
    assert names(first) == expected[-50:]
    assert set(links(first)) == {"Newest", "Newer"}


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("status=failed", 5),
        ("status=running", 1),
        ("status=succeeded&job=report&project=acme", 15),
        ("trigger=manual", 1),
        ("project=other", 1),
        ("branch=main", 1),
        ("branch=next", 0),
        ("since=2026-01-31T11:49:30Z&job=report&project=acme", 10),
        ("until=2026-01-31T11:49:30%2B00:00&job=report&project=acme", 10),
        ("since=2026-01-31T11:45:00&until=2026-01-31T11:48:30&status=failed", 1),
    ],
)
def test_runs_are_filtered_by_the_address(made: World, query: str, number: int) -> None:
    report, other = made.job("report"), made.job("other", project="other")
    fill(made, report, 20)
    build = made.build(other, NOW - timedelta(hours=9), sha="a" * 40)
    made.run(other, NOW - timedelta(hours=8), trigger=BY_HAND, build_id=build, outcome=None)
    page = read(visitor(made), f"/runs?{query}")
    assert len(names(page)) == number
    assert words(page).startswith("Runs · Jobyard")
    assert f'<p class="muted">{number} run{"" if number == 1 else "s"}' in page
    if not number:
        assert "No run that was looked at is of this kind." in page


def test_filters_are_words_that_can_be_taken_away(made: World) -> None:
    made.job("report")
    page = read(visitor(made), "/runs?project=acme&job=report&status=failed")
    away = {
        name: html.unescape(href)
        for href, name in re.findall(r'class="word" href="([^"]+)"[^>]*>(\w+)', page)
    }
    assert away == {
        "project": "/runs?status=failed",
        "job": "/runs?project=acme&status=failed",
        "status": "/runs?project=acme&job=report",
    }
    assert '<option value="failed" selected>failed</option>' in page


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "/runs?status=broken",
            "status must be 'queued', 'running', 'succeeded', 'failed' or 'cancelled', not ",
        ),
        (
            "/builds?trigger=magic",
            "trigger must be 'push', 'pull_request', 'manual' or 'rebuild', not 'magic'.",
        ),
        ("/decisions?verdict=maybe", "verdict must be 'started', 'built', "),
        ("/runs?since=yesterday", "since must be a time such as 2026-01-31T12:00:00Z, not 'yesterday'."),
        ("/runs?job=report", "project is missing: the name of a job needs it."),
    ],
)
def test_a_filter_that_means_nothing_is_refused_by_name(made: World, path: str, said: str) -> None:
    assert said in html.unescape(read(visitor(made), path, 422))


def test_runs_say_how_the_newest_of_them_went(made: World) -> None:
    fill(made, made.job("report"), 20)
    page = read(visitor(made), "/runs")
    assert "20 runs: 15 succeeded, 5 failed · 50 % within 11 s · 95 % within 20 s" in words(page)
    assert re.findall(r'<path data-status="(\w+)" d="M', page.split("figcaption")[0]) == [
        "succeeded",
        "failed",
    ]


@pytest.fixture
def few_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "LOOKED_AT", 10)


@pytest.mark.usefixtures("few_are_looked_at")
def test_a_page_looks_at_no_more_than_so_many_and_says_so(made: World) -> None:
    job, client = made.job("report"), visitor(made)
    old = made.run(job, NOW - timedelta(hours=9), trigger=BY_HAND, outcome=SUCCEEDED)
    fill(made, job, 25)
    page, seen = read(client, "/runs?trigger=manual"), 1
    assert "0 of the newest 10 runs" in words(page)
    while not names(page):
        assert "were looked at for this page: go on to older ones to look further." in page
        page, seen = read(client, links(page)["Older"]), seen + 1
    assert (len(names(page)), seen) == (1, 3)
    with made.db.read() as tx:
        wanted = RunFilter(trigger=TriggerType.MANUAL)
        assert run_lists.page(tx, wanted, Place(after=0), 9)[1].ids == [old]
        assert run_lists.page(tx, wanted, Place(after=old), 9)[1].looked_to == old + 10


def test_builds_are_listed_with_whom_they_are_for(made: World) -> None:
    report, client = made.job("report"), visitor(made)
    for number in range(3):
        state = "failed" if number == 1 else "succeeded"
        at = NOW - timedelta(hours=9 - number)
        made.build(report, at, sha=f"{number}" * 40, message="Read in one query", state=state)
    page = read(client, "/builds")
    assert names(page) == ["3", "2", "1"]
    assert "3 builds" in words(page)
    assert "Failed report acme Build 2 Read in one query push 1111111 main 40 s" in words(page)
    assert names(read(client, "/builds?status=failed&branch=main&project=acme&job=report&trigger=push")) == [
        "2"
    ]
    assert names(read(client, "/builds?branch=other")) == []
    made.job("tool", repository=None)
    assert "No build that was looked at is of this kind." in read(client, "/builds?project=acme&job=tool")


def test_decisions_of_one_push_in_the_same_words_are_told_once(made: World) -> None:
    jobs = [made.job(f"job-{number}") for number in range(12)]
    for job in jobs:
        said = "Push of 9d1b990 to main has [skip ci] in a message."
        made.decide(job, (EventType.PUSH, "guid-1"), Verdict.SKIPPED, said, NOW - timedelta(minutes=5))
    made.decide(jobs[0], (EventType.PUSH, "guid-2"), Verdict.BUILT, "Push of 1234567 to main.", NOW)
    client = visitor(made)
    for path in ("/decisions", "/"):
        page = read(client, path)
        assert "skipped 12 jobs : Push of 9d1b990 to main has [skip ci] in a message." in words(page)
        assert page.count("Push of 9d1b990") == 1
        assert all(f'/jobs/{job.name}"' in page for job in jobs)
    assert "13 decisions." in words(read(client, "/decisions"))
    assert "Push of 9d1b990" not in read(client, "/decisions?verdict=built&event=push")


def test_why_at_a_moment_is_answered_on_the_jobs_page(made: World) -> None:
    job, client = made.job("report"), visitor(made)
    address = "/projects/acme/jobs/report/decisions"
    for minutes, said in ((60, "Long before."), (30, "Its last run is still going."), (5, "Later.")):
        event = (EventType.SCHEDULE, str(minutes))
        made.decide(job, event, Verdict.SKIPPED, said, NOW - timedelta(minutes=minutes))
    asked = f"{NOW - timedelta(minutes=30):%Y-%m-%dT%H:%M}"
    answer = read(client, f"{address}?at={asked}").split('aria-label="Decisions"')[0]
    assert "What was known at 2026-01-31 11:30:00 UTC , the latest first:" in words(answer)
    assert "skipped report : Its last run is still going." in words(answer)
    assert "Later." not in answer
    before = read(client, f"{address}?at=2026-01-01T00:00Z")
    assert "Nothing was decided about this job until 2026-01-01 00:00:00 UTC ." in words(before)
    assert "at must be a time such as 2026-01-31T12:00:00Z, not 'noon'." in words(
        read(client, f"{address}?at=noon")
    )


def viewer_of(made: World, project_id: int) -> Client:
    with made.db.write() as tx:
        somebody = users.add(tx, "somebody", "no password", Role.VIEWER, NOW, project_id=project_id)
        limits = made.context.desk.limits
        session = open_session(tx, NOW, limits, Browser("192.0.2.1"), user_id=somebody.id)
    client = Client(made.app(), follow_redirects=False, headers=OURS)
    client.cookies.set(COOKIE, session)
    return client


def test_nobody_sees_what_is_not_theirs(made: World) -> None:
    ours, theirs = made.job("ours"), made.job("theirs", project="other")
    seen_by = viewer_of(made, ours.project_id)
    for job in (ours, theirs):
        fill(made, job, 2)
        made.build(job, NOW - timedelta(hours=2), sha=f"{job.id}" * 40)
        made.decide(job, (EventType.MANUAL, job.id), Verdict.SKIPPED, f"About {job.name}.", NOW)
    for path in ("/", "/runs", "/builds", "/decisions", "/runs?status=failed"):
        page = read(seen_by, path)
        assert "theirs" not in page
        assert "/projects/other" not in page
    assert "2 runs" in words(read(seen_by, "/runs"))
    read(seen_by, "/runs?project=other", 404)


def jobs_of(page: str) -> list[str]:
    return re.findall(
        r'<tr data-row id="job-\d+">.*?<a class="name" href="/projects/\w+/jobs/([^"]+)"', page, re.DOTALL
    )


@pytest.mark.parametrize("path", ["/", "/projects/acme"])
def test_jobs_are_filtered_and_sorted_by_the_address_a_page_at_a_time(made: World, path: str) -> None:
    client, long = visitor(made), "a" * 63
    assert jobs_of(read(client, path if path == "/" else "/")) == []
    made.job(long)
    assert jobs_of(read(client, path)) == [long]
    assert f'title="{long}"' in read(client, path)
    failing, running = made.job("x-failing"), made.job("y-running")
    made.run(failing, NOW - timedelta(hours=2), outcome=FAILED)
    made.run(running, NOW - timedelta(hours=1))
    made.build(made.job("z-unbuilt", repository="acme/other"), NOW, sha="a" * 40, state="failed")
    for number in range(47):
        made.job(f"job-{number:02}", display_name="The Quarterly" if number == 5 else "")
    first, second = read(client, path), read(client, f"{path}?page=2")
    assert jobs_of(first)[:4] == ["x-failing", "z-unbuilt", "y-running", long]
    assert (len(jobs_of(first)), jobs_of(second)) == (50, ["job-46"])
    assert "1 to 50 of 51 jobs" in words(first)
    assert "51 to 51 of 51 jobs" in words(second)
    assert jobs_of(read(client, f"{path}?page=99")) == ["job-46"]
    assert "build 1 failed" in words(first)
    assert jobs_of(read(client, f"{path}?show=failing")) == ["x-failing", "z-unbuilt"]
    assert jobs_of(read(client, f"{path}?show=running")) == ["y-running"]
    assert jobs_of(read(client, f"{path}?name=job-1")) == [f"job-1{number}" for number in range(10)]
    assert jobs_of(read(client, f"{path}?name=quarterly")) == ["job-05"]
    assert jobs_of(read(client, f"{path}?sort=name"))[0] == long
    assert jobs_of(read(client, f"{path}?sort=latest"))[:2] == ["y-running", "x-failing"]


def test_jobs_are_grouped_by_project_and_sorted_by_when_they_are_due(made: World) -> None:
    daily = {"kind": "cron", "schedule": {"cron": "0 3 * * *", "time_zone": "UTC"}}
    hourly = {"kind": "cron", "schedule": {"cron": "0 * * * *", "time_zone": "UTC"}}
    for name, project, more in (("b", "acme", daily), ("c", "acme", hourly), ("a", "beta", {})):
        made.job(name, project=project, **more)
    client = visitor(made)
    assert jobs_of(read(client, "/?sort=next")) == ["c", "b", "a"]
    page = read(client, "/?group=project&sort=name")
    assert jobs_of(page) == ["b", "c", "a"]
    assert re.findall(r'<th colspan="4" scope="rowgroup"><a href="/projects/(\w+)">', page) == [
        "acme",
        "beta",
    ]


@pytest.mark.parametrize(
    ("path", "place", "current"),
    [
        ("/", "Overview", "page"),
        ("/projects/acme", "Projects", "true"),
        ("/projects/acme/jobs/embeddings", "Projects", "true"),
        ("/projects/acme/jobs/embeddings/settings", "Projects", "true"),
        ("/jobs/new?project=acme", "Projects", "true"),
        ("/runs", "Runs", "page"),
        ("/runs/1", "Runs", "true"),
        ("/builds/1", "Builds", "true"),
        ("/flows", "Flows", "page"),
        ("/apps", "Apps", "page"),
        ("/rehearse", "Deliveries", "true"),
        ("/users/1", "Users", "true"),
        ("/prune", "Settings", "true"),
    ],
)
def test_the_open_place_is_marked_on_every_page(
    made: World, demo: Demo, path: str, place: str, current: str
) -> None:
    page = read(visitor(made), path).partition("</nav>")[0]
    assert re.findall(r'aria-current="(\w+)">([^<]+)<', page) == [(current, place)]
    assert demo.job.name == "embeddings"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "/runs",
            "Nothing has run yet: a job runs by its schedule, with a new image, or when somebody starts it.",
        ),
        (
            "/builds",
            "Nothing was built yet: a push to a branch that a job or build service tracks makes a build.",
        ),
        (
            "/decisions",
            "Nothing was decided yet: each push, schedule, deploy and build leaves a decision for each job.",
        ),
    ],
)
def test_an_empty_list_says_how_it_fills(made: World, path: str, said: str) -> None:
    assert said in words(read(visitor(made), path))


def test_where_a_decision_that_is_gone_was_no_page_begins(made: World) -> None:
    said = "There is nothing with the id 99 in this list any more: begin at its newest page."
    assert said in words(read(visitor(made), "/decisions?before=99", 404))
