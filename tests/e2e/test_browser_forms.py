"""Forms and copying in a real browser: previews leave what was typed, and copying works anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import browsing, listen, look, visitor
from tests.support.clock import Clock
from tests.support.seed import World, world

SECRET = "a text that is never shown"
SETTINGS = "/projects/acme/jobs/report/settings"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing("--host-resolver-rules=MAP jobyard.test 127.0.0.1") as each:
        yield each


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Clock(at=None)) as each:
        each.job("report", display_name="Daily report")
        yield each


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def type_secrets(page: Page) -> None:
    page.locator('[name="source.git.webhook_secret"]').fill(SECRET)
    row = page.locator(".env-row").last
    row.get_by_label("Name of a variable").fill("TOKEN")
    row.locator("textarea").fill(SECRET)
    row.get_by_label("secret").check()


def secrets(page: Page) -> list[str]:
    row = page.locator(".env-row").filter(has=page.locator('[value="TOKEN"]'))
    return [
        page.locator('[name="source.git.webhook_secret"]').input_value(),
        row.locator("textarea").input_value(),
    ]


def test_preview_and_more_rows_keep_typed_secrets_and_the_place(page: Page) -> None:
    look(page, SETTINGS)
    page.evaluate("window.notReloaded = true")
    type_secrets(page)
    page.get_by_label("Display name").fill("Weekly report")
    button = page.get_by_role("button", name="More rows")
    button.scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    assert before > 0
    rows = page.locator(".env-row").count()
    button.click()
    expect(page.locator(".env-row")).not_to_have_count(rows)
    assert secrets(page) == [SECRET, SECRET]
    assert page.evaluate("scrollY") == before
    press(page, "Preview")
    changes = page.locator("#preview")
    expect(changes).to_contain_text("display_name")
    expect(changes).to_contain_text("Weekly report")
    assert secrets(page) == [SECRET, SECRET]
    assert page.evaluate("scrollY") == before
    expect(page.get_by_text("Re-enter these secrets")).to_have_count(0)
    assert page.evaluate("window.notReloaded")
    assert SECRET not in page.locator("html").inner_html()
    press(page, "Save settings of report")
    page.wait_for_url(f"**{SETTINGS}?saved=1")
    expect(page.get_by_label("Display name")).to_have_value("Weekly report")
    expect(page.get_by_label("Value of TOKEN")).to_have_attribute(
        "placeholder", "Set. Leave empty to keep it"
    )


def test_a_refused_preview_says_so_at_its_field_and_keeps_the_rest(page: Page) -> None:
    look(page, SETTINGS)
    type_secrets(page)
    branch = page.get_by_label("Branch")
    branch.fill("not a branch..")
    press(page, "Preview")
    expect(branch).to_have_attribute("aria-invalid", "true")
    expect(branch).to_be_focused()
    assert secrets(page) == [SECRET, SECRET]


def test_without_scripts_a_preview_is_a_page(browser: Browser, address: str) -> None:
    page = visitor(browser, address)
    cookies = page.context.cookies()
    page.context.close()
    context = browser.new_context(base_url=address, java_script_enabled=False)
    context.add_cookies(cookies)
    plain = context.new_page()
    plain.goto(SETTINGS)
    type_secrets(plain)
    press(plain, "Preview")
    expect(plain.locator("#preview")).to_be_visible()
    expect(plain.get_by_text("Re-enter these secrets")).to_be_visible()
    context.close()


def test_the_link_of_a_run_form_is_copied_whole(page: Page, address: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    look(page, "/projects/acme/jobs/report/run")
    page.get_by_label("Retries").fill("3")
    press(page, "Preview")
    press(page, "Copy link")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{address}/projects/acme/jobs/report/run?retry_limit=3"
    page.goto(copied)
    expect(page.get_by_label("Retries")).to_have_value("3")


def test_copying_works_on_plain_http_by_name(browser: Browser, address: str) -> None:
    page = visitor(browser, f"http://jobyard.test:{address.rpartition(':')[2]}")
    complaints = listen(page)
    look(page, "/projects/acme")
    assert page.evaluate("isSecureContext") is False
    press(page, "Copy")
    expect(page.get_by_role("button", name="Copied")).to_be_focused()
    field = page.get_by_label("Search jobs, runs, commits")
    field.focus()
    page.keyboard.press("Control+V")
    expect(field).to_have_value(page.locator("[data-copy-text]").inner_text())
    page.context.close()
    assert [each for each in complaints if "Cross-Origin-Opener-Policy" not in each] == []


@pytest.mark.parametrize("path", ["/", "/projects/acme", "/projects/acme/jobs/report"])
def test_a_job_is_called_by_its_display_name(page: Page, path: str) -> None:
    look(page, path)
    expect(page.get_by_text("Daily report", exact=True).first).to_be_visible()
    expect(page.locator("code", has_text="report").first).to_be_visible()
