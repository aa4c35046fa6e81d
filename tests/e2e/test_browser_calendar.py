"""The calendar and the public page in a real browser: the reader's time zone or UTC, phones, both themes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect

from app.store import projects
from tests.support.browser import CONTRAST, listen, look, serving, visitor
from tests.support.clock import Clock
from tests.support.seed import SUCCEEDED, World, world

NOW = datetime(2026, 1, 14, 15, 30, tzinfo=UTC)  # Berlin is an hour ahead
PAGES = ("/schedule", "/schedule?hour=2026-01-15T06:00%2B01:00", "/public/acme")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world"), Clock(at=NOW)) as each:
        for number, cron in enumerate(("30 23 * * *", "*/5 * * * *", *["0 5 * * *"] * 5)):
            schedule = {"cron": cron, "time_zone": "UTC", "active": True}
            job = each.job(f"job-{number}", kind="cron", schedule=schedule)
        each.run(job, NOW, outcome=SUCCEEDED)
        with each.db.write() as tx:
            projects.set_public(tx, projects.named(tx, "acme").id, True)
        yield each


@pytest.fixture(scope="module")
def address(made: World) -> Iterator[str]:
    with serving(made) as each:
        yield each


def test_the_calendar_is_in_ones_own_time_and_in_utc_at_a_press(page: Page) -> None:
    look(page, "/schedule")
    thursday = page.locator('[aria-label="Thursday 15 January"]')
    expect(thursday.locator(".mark").first).to_have_text("00:30 job-0")
    more = thursday.get_by_role("link", name="2 more")
    more.click()
    expect(page.locator("#hour li")).to_have_count(5 + 12)
    expect(page.locator("#hour-title")).to_contain_text("Thu 15 Jan, 06:00")
    look(page, "/schedule")
    page.locator(".zone").click()
    expect(page.locator("main")).to_have_attribute("data-zone-of", "UTC")
    wednesday = page.locator('[aria-label="Wednesday 14 January"]')
    expect(wednesday.locator(".mark").first).to_have_text("23:30 job-0")
    expect(page.locator(".zone")).to_have_text("UTC")
    page.get_by_label("Your menu").click()
    page.get_by_role("button", name="Times: UTC").click()
    expect(page.locator("main")).to_have_attribute("data-zone-of", "Europe/Berlin")


def test_times_on_every_page_are_in_utc_at_a_press_and_stay_so(page: Page, made: World) -> None:
    look(page, "/runs/job-6-00001")
    started = page.locator(".facts time").first
    expect(started).to_contain_text("16:30:")
    page.locator(".zone").click()
    expect(started).to_contain_text("15:30:")
    expect(started).to_have_attribute(
        "title", "Wednesday, 14 January 2026 at 15:30:00 UTC · 2026-01-14T15:30:00.000Z"
    )
    look(page, "/runs/job-6-00001")
    expect(page.locator(".facts time").first).to_contain_text("15:30:")
    page.locator(".zone").click()
    expect(page.locator(".facts time").first).to_contain_text("16:30:")


def test_the_pages_fit_a_phone(browser: Browser, address: str) -> None:
    page = visitor(browser, address, width=360, height=740)
    complaints = listen(page)
    for path in PAGES:
        look(page, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    assert complaints == []
    page.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_enough_contrast(browser: Browser, address: str, theme: str) -> None:
    page = visitor(browser, address, theme=theme)
    for path in PAGES:
        look(page, path)
        assert page.evaluate(CONTRAST) == [], path
    page.context.close()
