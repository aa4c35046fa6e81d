"""Lists in a real browser, as somebody uses them: the overview of many jobs, all runs and builds, why at a moment."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from app.domain.decisions import EventType, Verdict
from app.domain.runs import Reason
from app.store import jobs
from tests.support.browser import look, visitor
from tests.support.clock import Clock
from tests.support.demo_shared import furnish_shared
from tests.support.seed import SUCCEEDED, World, failed, world
from tests.support.waiting import eventually

FAILED = failed(Reason.EXIT_NONZERO, "Exited with code 1")
BERLIN = ZoneInfo("Europe/Berlin")
LONG = "a-name-of-63-characters-is-as-long-as-a-name-may-be-and-is-sho"
LONG += "w" * (63 - len(LONG))


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty jobs, one of which failed, and seventy runs of another, every fifth failed; two jobs of one build."""
    root, now = tmp_path_factory.mktemp("lists"), datetime.now(UTC)
    with world(root, Clock(at=None)) as each:
        each.job(LONG)
        each.job("embeddings")
        each.run(each.job("z-failing"), now - timedelta(hours=80), outcome=FAILED)
        busy = each.job("busy")
        for number in range(57):
            each.job(f"job-{number:02}")
        for number in range(70):
            outcome = FAILED if number % 5 == 0 else SUCCEEDED
            each.run(busy, now - timedelta(hours=70 - number), seconds=30 + number, outcome=outcome)
        furnish_shared(each)
        with each.db.read() as tx:
            shared = jobs.named(tx, "acme", "clean-up")
        each.build(shared, now - timedelta(hours=2), sha="a" * 40, message="Tidy up")
        return root


@pytest.fixture
def made(furnished: Path, tmp_path: Path) -> Iterator[World]:
    with world(shutil.copytree(furnished, tmp_path / "world"), Clock(at=None)) as each:
        yield each


def test_each_bar_of_a_strip_says_which_run_it_is(page: Page) -> None:
    look(page, "/?name=busy")
    strip = page.locator("table.jobs .strip")
    ids = (strip.get_attribute("data-runs") or "").split()
    title, box = strip.locator("title"), strip.bounding_box()
    assert len(ids) == 24
    assert box
    for index, state, took in (
        (0, "succeeded", "1 m 39 s"),
        (4, "failed", "1 m 35 s"),
        (23, "succeeded", "1 m 16 s"),
    ):
        across, down = box["x"] + box["width"] * (23.3 - index) * 7 / 166, box["y"] + box["height"] / 2
        wanted = rf"Run {ids[index]}: {state}, .+ [0-9:]{{8}}, took {took}"

        def is_told(at: tuple[float, float] = (across, down), told: str = wanted) -> bool:
            page.mouse.move(*at)  # again, where the page has just come anew
            return any(re.fullmatch(told, each) for each in title.all_text_contents())

        eventually(is_told)


def test_a_job_of_many_is_found_on_the_overview(page: Page) -> None:
    look(page, "/")
    rows = page.locator("table.jobs tr[data-row]")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("z-failing")
    expect(rows.first).to_contain_text("Failed · exit 1")
    assert page.locator("svg a").count() == 0  # an image has no links inside
    assert page.evaluate("document.querySelectorAll('*').length") < 2500
    page.get_by_role("link", name="Next", exact=True).click()
    expect(page.locator("nav[aria-label='Pages of jobs']")).to_contain_text("51 to 63 of 63 jobs")
    page.locator("[name=name]").fill("busy")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    strip = page.locator(".strip")
    expect(strip).to_have_attribute(
        "aria-label", re.compile("24 runs: 20 succeeded, 4 failed; the latest succeeded")
    )
    strip.click(position={"x": 163, "y": 20})
    expect(page.locator("h1")).to_contain_text("busy-")
    page.go_back()
    page.locator("[name=name]").fill("")
    page.locator("[name=sort]").select_option("latest run")
    expect(rows.first).to_contain_text("busy")
    assert page.url.endswith("/?sort=latest")
    page.get_by_label("by project").check()
    expect(page.locator(".group-row")).to_have_text("acme")


def test_runs_are_filtered_walked_and_live(page: Page, made: World) -> None:
    look(page, "/runs")
    rows = page.locator("table.many tr[data-row]")
    expect(page.locator(".head p.muted")).to_contain_text("71 runs: 56 succeeded, 15 failed")
    expect(rows).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(21)
    page.get_by_role("link", name="Newest").click()
    page.locator("[name=status]").select_option("failed")
    expect(rows).to_have_count(15)
    assert page.url.endswith("/runs?status=failed")
    page.locator("[name=project]").fill("acme")
    page.locator("[name=job]").fill("busy")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(14)
    page.get_by_title("Show runs whatever the status").click()
    expect(page.locator(".head p.muted")).to_contain_text("70 runs")
    with made.db.read() as tx:
        busy = jobs.named(tx, "acme", "busy")
    page.evaluate("window.notReloaded = true")
    run = made.run(busy, datetime.now(UTC), seconds=1)
    expect(page.locator(f"#run-{run}")).to_contain_text("Running")
    expect(page.locator(".head p.muted")).to_contain_text("71 runs")
    assert page.evaluate("window.notReloaded")
    page.locator(f"#run-{run} a.name").click()
    expect(page.locator("nav[aria-label=Main] [aria-current=true]")).to_have_text("Runs")


def test_times_of_filters_are_the_readers_own(page: Page) -> None:
    look(page, "/runs")
    at = (datetime.now(BERLIN) - timedelta(hours=10)).replace(microsecond=0)
    page.get_by_label("From").fill(f"{at:%Y-%m-%dT%H:%M:%S}")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".word")).to_contain_text("since")
    assert f"since={at.astimezone(UTC):%Y-%m-%dT%H%%3A%M%%3A%S}.000Z" in page.url
    expect(page.get_by_label("From")).to_have_value(f"{at:%Y-%m-%dT%H:%M:%S}".removesuffix(":00"))
    assert 8 <= page.locator("table.many tr[data-row]").count() <= 10


def test_times_of_filters_are_in_utc_at_a_press(page: Page) -> None:
    look(page, "/runs")
    at = (datetime.now(BERLIN) - timedelta(hours=10)).replace(second=1, microsecond=0)
    field = page.get_by_label("From")
    field.fill(f"{at:%Y-%m-%dT%H:%M:%S}")
    field.blur()
    page.locator(".zone").click()
    expect(field).to_have_value(f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".word")).to_contain_text(f"{at.astimezone(UTC):%H:%M:%S}")
    assert f"since={at.astimezone(UTC):%Y-%m-%dT%H%%3A%M%%3A%S}.000Z" in page.url


def test_why_at_a_moment_is_asked_and_answered(page: Page, made: World) -> None:
    with made.db.read() as tx:
        busy = jobs.named(tx, "acme", "busy")
    now = datetime.now(UTC)
    for hours, said in ((9, "Long before."), (5, "Its last run is still going."), (1, "Later.")):
        at = now - timedelta(hours=hours)
        made.decide(busy, (EventType.SCHEDULE, str(hours)), Verdict.SKIPPED, said, at, rule="forbid")
    look(page, "/projects/acme/jobs/busy")
    page.get_by_role("region", name="Why it did or did not run").get_by_role("link", name="All").click()
    at = (now - timedelta(hours=5)).astimezone(BERLIN)
    page.get_by_label("Day and time").fill(f"{at:%Y-%m-%dT%H:%M:%S}")
    page.get_by_role("button", name="Explain").click()
    answer = page.get_by_role("region", name="Why at this moment?")
    expect(answer.locator("li").first).to_contain_text("busy: Its last run is still going.")
    expect(answer).not_to_contain_text("Later.")
    page.locator("[name=verdict]").select_option("started")
    expect(page.get_by_text("No decision that was looked at is of this kind.")).to_be_visible()


def test_a_build_of_a_shared_source_is_deployed_by_one_form(page: Page) -> None:
    look(page, "/builds")
    page.locator("a.name", has_text="Build 1").click()
    form = page.get_by_role("region", name="Deploy it")
    form.get_by_label("Deploy to").select_option("re-index")
    expect(form.locator("#deploy-said")).to_contain_text("deployed by")
    form.get_by_role("button", name="Deploy").click()
    page.wait_for_url("**/projects/acme/jobs/re-index")
    expect(page.locator(".facts")).to_contain_text("aaaaaaa")


def test_lists_fit_a_phone_and_show_where_one_is(browser: Browser, address: str) -> None:
    page = visitor(browser, address, width=360, height=780)
    for path, name in (("/", None), ("/runs", "Runs"), ("/decisions", "Decisions"), ("/audit", "Audit")):
        look(page, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        if name is not None:
            current = page.locator("nav[aria-label=Main] [aria-current]")
            expect(current).to_have_text(name)
            expect(current).to_be_in_viewport(ratio=0.9)
    look(page, f"/?name={LONG[:20]}")
    expect(page.locator("table.jobs a.name")).to_have_text(LONG)
    page.context.close()
