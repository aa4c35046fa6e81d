"""What the pages say of jobs, runs, builds and deliveries, and that nothing anybody wrote is markup."""

from __future__ import annotations

import re

import pytest

from app.domain.build_parts import BuildStep
from app.domain.decisions import EventType, Verdict
from app.domain.runs import Reason, Trigger, TriggerType
from app.store import builds, deliveries
from app.web.pages import formatting
from tests.support.demo_world import Demo
from tests.support.seed import World, failed
from tests.support.shown import shown
from tests.support.visiting import NOW, read, run_of, visitor


def test_an_empty_installation_says_what_to_do_first(made: World) -> None:
    client = visitor(made)
    assert 'href="/projects">Create a project' in read(client, "/")
    assert "/webhooks/github" in read(client, "/deliveries")
    assert f"{made.public_url}/webhooks/github" in read(client, "/settings")


def test_overview_shows_each_job_with_its_last_runs_and_why_nothing_ran(made: World, demo: Demo) -> None:
    page = read(visitor(made), "/")
    row = re.search(rf'<tr data-row id="job-{demo.job.id}">.*?</tr>', page, re.DOTALL)
    assert row is not None
    assert 'aria-label="22 runs: ' in row[0]
    assert f'data-runs="{demo.failed_run} ' in row[0]
    assert "Failed · time limit" in row[0]
    assert run_of(made, demo.failed_run).name in row[0]
    assert "all ignored by the path rules" in page
    words = " ".join(re.sub(r"<[^>]*>", "", page).split())
    assert "6 jobs · 1 failing · 1 running · 0 waiting · server healthy" in words
    assert re.search(r'<progress max="3[0-9.]+" value="18.0"', page)


def test_overview_filters_jobs(made: World, demo: Demo) -> None:
    client = visitor(made)
    listed = {
        show: re.findall(r'class="name" href="/projects/\w+/jobs/([\w-]+)"', read(client, f"/?show={show}"))
        for show in ("", "failing", "scheduled")
    }
    assert listed["failing"] == ["embeddings"]
    assert listed["scheduled"] == ["sync-orders", "cleanup", "nightly-report"]  # what runs comes first
    assert len(listed[""]) == 6


def test_overview_says_when_the_engine_is_down(made: World) -> None:
    from app.runtime.engine_health import EngineHealth

    made.health = EngineHealth(False, "The engine does not answer: see JOBYARD_DOCKER_HOST.")
    assert "JOBYARD_DOCKER_HOST" in read(visitor(made), "/")


def test_overview_labels_an_engine_without_isolation(made: World) -> None:
    from app.runtime.engine_health import EngineHealth

    sentence = "Jobs run as plain processes of this machine."
    client = visitor(made)
    assert "no isolation" not in read(client, "/")
    made.health = EngineHealth(True, "The machine answers.", sentence, is_isolated=False)
    label = re.search(r'<a class="pill"[^>]*title="([^"]*)">no isolation</a>', read(client, "/"))
    assert label is not None
    assert label[1] == sentence


def test_what_is_not_enforced_of_egress_is_on_the_settings_page_and_in_readyz(made: World) -> None:
    from app.runtime.engine_health import EngineHealth

    sentence = "What jobs and builds may reach is not enforced."
    client = visitor(made)
    assert sentence not in read(client, "/settings")
    assert client.get("/readyz").json()["egress"] == ""
    made.health = EngineHealth(True, "The machine answers.", egress=sentence)
    assert sentence in read(client, "/settings")
    assert client.get("/readyz").json()["egress"] == sentence


def test_a_disk_of_runs_that_is_not_bounded_is_on_the_settings_page_and_in_readyz(made: World) -> None:
    from app.runtime.engine_health import EngineHealth

    sentence = "Runs are not held to 512 MiB of disk."
    client = visitor(made)
    assert sentence not in read(client, "/settings")
    assert client.get("/readyz").json()["run_disk"] == ""
    made.health = EngineHealth(True, "The machine answers.", run_disk=sentence)
    assert sentence in read(client, "/settings")
    assert client.get("/readyz").json()["run_disk"] == sentence


@pytest.mark.parametrize("by_name", [True, False])
def test_run_page_begins_with_why_it_ran(made: World, demo: Demo, by_name: bool) -> None:
    run = run_of(made, demo.failed_run)
    page = shown(read(visitor(made), f"/runs/{run.name if by_name else run.id}"))
    main = page[page.index("<main") :]
    assert main.index(run.trigger.cause.replace("&", "&amp;")) < main.index("Facts")
    assert "The time limit of 480 s passed" in page
    assert "attempt 2 · out of memory" in page
    assert 'class="lane-limit"' in page
    assert re.search(r"API_TOKEN</code></dt><dd><code>\*\*\*</code>", page)
    assert "sealed" not in page
    assert re.search(r"BATCH</code></dt><dd><code>127</code> <span[^>]*>override", page)


def test_lists_of_runs_say_how_the_attempts_stand(made: World, demo: Demo) -> None:
    run, page = run_of(made, demo.failed_run), read(visitor(made), "/projects/acme/jobs/embeddings")
    row = page[page.index(f'id="run-{run.id}"') :]
    assert f">{formatting.attempts(run)}<" in row[: row.index("</tr>")]
    assert formatting.attempts(run) == f"{run.failed} failed"


def test_run_page_shows_the_attempt_that_is_asked_for(made: World, demo: Demo) -> None:
    client = visitor(made)
    page = read(client, f"/runs/{demo.failed_run}?attempt=1")
    assert f'data-log="run-{demo.failed_run}-1"' in page
    read(client, f"/runs/{demo.failed_run}?attempt=9", 404)


def test_build_page_shows_plan_dockerfile_steps_and_what_came_of_it(made: World, demo: Demo) -> None:
    page = read(visitor(made), f"/builds/{demo.build}")
    for expected in (
        "Python, because requirements.txt is there.",
        "requests is not pinned",
        "RUN --mount=type=cache",
        "exporting to image",
        "Read the orders in one query",
        "started",
    ):
        assert expected in page


def test_deliveries_show_their_decisions_also_of_replays(made: World, demo: Demo) -> None:
    client = visitor(made)
    page = read(client, "/deliveries")
    assert "all ignored by the path rules" in page
    assert client.post("/deliveries/github/d-docs/replay").headers["location"] == "/deliveries"
    with made.db.read() as tx:
        again = deliveries.find(tx, "d-docs")
    assert (again.status, again.event_id) == ("received", "d-docs~1")
    made.decide(demo.job, (EventType.PUSH, "d-docs~1"), Verdict.SKIPPED, "CI is off.", NOW)
    page = read(client, "/deliveries")
    assert "CI is off." in page
    assert "all ignored by the path rules" in page
    assert client.post("/deliveries/github/d-docs/replay").status_code == 409
    read(client, "/deliveries/github/d-docs/replay", 405)
    assert client.post("/deliveries/github/none/replay").status_code == 404


def test_job_page_links_to_every_decision_with_its_inputs(made: World, demo: Demo) -> None:
    client, job = visitor(made), f"/projects/{demo.job.project}/jobs/{demo.job.name}"
    assert "tags don&#39;t build" in read(client, job)
    page = read(client, f"{job}/decisions")
    assert "run_on_image_change:cd-promote" in page
    assert "cd enabled" in page
    assert "tags don" not in read(client, f"{job}/decisions?verdict=started")


def test_search_finds_jobs_runs_and_commits(made: World, demo: Demo) -> None:
    client, run = visitor(made), run_of(made, demo.failed_run)
    assert client.get(f"/search?q={run.name}").headers["location"] == f"/runs/{run.name}"
    assert client.get("/search?q=backf").headers["location"] == "/projects/research/jobs/backfill"
    assert run.name in read(client, f"/search?q={run.name[:-1]}")
    with made.db.read() as tx:
        build = builds.with_id(tx, demo.build)
    assert build.sha is not None
    newest = re.findall(r'href="/runs/(embeddings-\d+)"', read(client, "/search?q=embeddings"))
    assert newest == sorted(newest, reverse=True)
    assert len(newest) == 20
    assert f"/builds/{build.id}" in read(client, f"/search?q={build.sha[:7]}")
    assert "Nothing is called that" in read(client, "/search?q=%25_%25")
    for name in ("sums", "totals"):
        made.job(name, display_name=f"Quarterly {name}")
    assert ">Quarterly sums<" in read(client, "/search?q=quarterLY")
    assert client.get("/search?q=quarterly+t").headers["location"] == "/projects/acme/jobs/totals"


@pytest.mark.parametrize(
    "path",
    ["/runs/none", "/runs/99", "/builds/none", "/builds/99", "/builds/%F0", "/projects/a/jobs/b", "/none"],
)
def test_what_is_not_there_is_a_page_that_says_so(made: World, path: str) -> None:
    page = read(visitor(made), path, 404)
    assert "Overview" in page
    assert "<title>404" in page


NAUGHTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


def test_nothing_anybody_wrote_is_markup(made: World) -> None:
    job = made.job("naughty", env={"V": NAUGHTY}, command=NAUGHTY)
    build = made.build(
        job,
        NOW,
        sha="a" * 40,
        message=NAUGHTY,
        log=NAUGHTY.encode(),
        dockerfile=NAUGHTY,
        plan={"runtime": NAUGHTY, "reasons": [NAUGHTY]},
        steps=[BuildStep(0, 1, NAUGHTY, 0.0, 1.0)],
    )
    run = made.run(
        job,
        NOW,
        trigger=Trigger(TriggerType.MANUAL, by=NAUGHTY, cause=NAUGHTY),
        outcome=failed(Reason.EXIT_NONZERO, NAUGHTY),
        log=NAUGHTY.encode(),
        sha=NAUGHTY,
    )
    made.delivery(NAUGHTY, NOW, repository=NAUGHTY, sha=NAUGHTY, sentence=NAUGHTY)
    made.decide(
        job, (EventType.PUSH, NAUGHTY), Verdict.SKIPPED, NAUGHTY, NOW, rule=NAUGHTY, inputs={NAUGHTY: NAUGHTY}
    )
    client = visitor(made)
    for path in (
        "/",
        f"/runs/{run}",
        f"/runs/{run}/log?from=0",
        f"/builds/{build}",
        "/deliveries",
        "/projects/acme/jobs/naughty",
        "/projects/acme/jobs/naughty/decisions",
        "/projects/acme/jobs/naughty/settings",
        f"/projects/acme/jobs/naughty/run?command={NAUGHTY}&env={NAUGHTY}&plan={NAUGHTY}",
        f"/search?q={NAUGHTY}",
    ):
        page = client.get(path).text
        assert "alert(1)" in page
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "\"'>" not in page
        assert "{{7*7}}" in page


def test_pages_have_no_inline_script_or_style(made: World, demo: Demo) -> None:
    client = visitor(made)
    settings = f"/projects/acme/jobs/{demo.job.name}/settings"
    pages = ("/", f"/runs/{demo.failed_run}", f"/builds/{demo.build}", "/deliveries", "/settings", settings)
    for path in pages:
        page = read(client, path)
        assert not re.search(r"\sstyle=|\son\w+=|<style|<script>", page)
