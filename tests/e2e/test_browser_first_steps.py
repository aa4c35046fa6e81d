"""A newcomer's way in a real browser: from an empty server to a job that a push would build, by pages alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.store import jobs, projects, secret_groups
from tests.support.browser import browsing, listen, look, serving, visitor
from tests.support.clock import Clock
from tests.support.seed import SUCCEEDED, World, world

HIDDEN = "a text that is never shown"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Clock(at=None)) as each:
        yield each


@pytest.fixture
def page(made: World) -> Iterator[Page]:
    with serving(made) as address, browsing() as browser:
        each = visitor(browser, address)
        complaints = listen(each)
        yield each
        each.context.close()
        assert complaints == []


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_from_an_empty_server_to_a_rehearsed_push(page: Page, made: World) -> None:
    look(page, "/")
    page.get_by_role("link", name="Create a project").click()
    page.get_by_label("Name", exact=True).fill("acme")
    page.get_by_label("Webhook secret").fill(HIDDEN)
    press(page, "Create project")
    page.wait_for_url("**/projects/acme")
    expect(page.locator("#webhook [data-copy-text]")).to_have_text(f"{made.public_url}/webhooks/github")

    made.job("report", project="acme")
    look(page, "/projects/acme/jobs/report")
    page.get_by_role("link", name="What would a push do?").click()
    expect(page.get_by_label("Repository")).to_have_value("https://github.com/acme/report")
    page.get_by_label("Commit that is pushed").fill("b26c5f7")
    press(page, "What would happen?")
    expect(page.locator("#e-after")).to_contain_text("must be a whole commit id")
    page.get_by_label("Commit that is pushed").fill("b" * 40)
    press(page, "What would happen?")
    expect(page.locator("#outlook")).to_contain_text("Push of bbbbbbb to main.")
    with made.db.read() as tx:
        assert jobs.named(tx, "acme", "report").deployed is None


def test_a_secret_group_by_the_browser_and_a_job_resumed_with_changes(page: Page, made: World) -> None:
    job = made.job("report", paused=True)
    look(page, "/projects/acme")
    page.get_by_role("link", name="New secret group").click()
    page.get_by_label("Name", exact=True).fill("mail")
    row = page.locator(".env-row").first
    row.get_by_label("Name of a variable").fill("PASSWORD")
    row.get_by_label("Value").fill(HIDDEN)
    row.get_by_label("secret").check()
    page.get_by_label("report", exact=True).check()
    press(page, "Create secret group")
    expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    assert HIDDEN not in page.content()
    with made.db.read() as tx:
        assert secret_groups.named(tx, projects.named(tx, "acme").id, "mail").jobs == ("report",)

    look(page, "/projects/acme/jobs/report")
    page.get_by_label("CD", exact=True).uncheck()
    run = made.run(job, datetime.now(UTC), outcome=SUCCEEDED)
    expect(
        page.locator(f"#run-{run}")
    ).to_be_visible()  # the page changed in place, and left the box as it was
    press(page, "Resume")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    with made.db.read() as tx:
        resumed = jobs.with_id(tx, job.id)
    assert (resumed.paused, resumed.ci_enabled, resumed.cd_enabled) == (False, True, False)

    resume = page.get_by_role("button", name="Resume")
    for is_paused in (True, False):  # by somebody else, meanwhile
        with made.db.write() as tx:
            jobs.set_switches(tx, job.id, datetime.now(UTC), paused=is_paused)
        expect(resume).to_have_count(int(is_paused))
