"""Forms and copying in a real browser: previews leave what was typed, and copying works anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import browsing, listen, look, visitor
from tests.support.clock import Clock
from tests.support.seed import World, world

SECRET = "a text that is never shown"
KEPT = "Set. Leave empty to keep it"
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
    rows = page.locator(".env-row").all()
    (row,) = [each for each in rows if each.get_by_label("Name of a variable").input_value() == "TOKEN"]
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
    expect(page.get_by_label("Value of TOKEN")).to_have_attribute("placeholder", KEPT)


def test_a_refused_preview_says_so_at_its_field_and_keeps_the_rest(page: Page) -> None:
    look(page, SETTINGS)
    type_secrets(page)
    branch = page.get_by_label("Branch", exact=True)
    branch.fill("not a branch..")
    press(page, "Preview")
    expect(branch).to_have_attribute("aria-invalid", "true")
    expect(branch).to_be_focused()
    assert secrets(page) == [SECRET, SECRET]


class TestARefusedSave:
    """What was typed stays where it was typed, secrets included; no page has them in it."""

    def test_of_a_job(self, page: Page) -> None:
        look(page, SETTINGS)
        page.evaluate("window.notReloaded = true")
        type_secrets(page)
        branch = page.get_by_label("Branch", exact=True)
        branch.fill("not a branch..")
        press(page, "Save settings of report")
        expect(branch).to_be_focused()
        expect(page.get_by_text("Nothing was saved")).to_be_visible()
        expect(page.get_by_text("Re-enter these secrets")).to_have_count(0)
        assert page.evaluate("window.notReloaded")
        assert secrets(page) == [SECRET, SECRET]
        assert SECRET not in page.locator("html").inner_html()
        assert page.url.endswith(SETTINGS)
        branch.fill("main")
        press(page, "Save settings of report")
        page.wait_for_url(f"**{SETTINGS}?saved=1")
        expect(page.get_by_label("Value of TOKEN")).to_have_attribute("placeholder", KEPT)
        expect(page.get_by_label("Webhook secret")).to_have_attribute("placeholder", KEPT)

    def test_of_a_section_keeps_what_was_typed_in_others(self, page: Page) -> None:
        look(page, SETTINGS)
        type_secrets(page)
        source = page.locator("section", has=page.locator("#s-source"))
        source.get_by_role("button", name="Save this section").click()
        expect(page.get_by_text("Other sections have changes that are not saved yet.")).to_be_visible()
        assert secrets(page) == ["", SECRET]  # that of the section is saved, and not typed any more
        variables = page.locator("section", has=page.locator("#s-env"))
        variables.get_by_role("button", name="Save this section").click()
        page.wait_for_url(f"**{SETTINGS}?saved=env#s-env")
        with page.expect_navigation():
            variables.get_by_role("button", name="Save this section").click()
        assert page.url.endswith(f"{SETTINGS}?saved=env#s-env")

    def test_of_a_credential(self, page: Page) -> None:
        look(page, "/projects/acme/credentials")
        page.get_by_label("Name").fill("Not A Name")
        page.get_by_label("Host").fill("github.com")
        page.get_by_label("Password, token or private key").fill(SECRET)
        press(page, "Create credential")
        expect(page.get_by_label("Name")).to_be_focused()
        expect(page.get_by_label("Password, token or private key")).to_have_value(SECRET)
        assert SECRET not in page.locator("html").inner_html()
        page.get_by_label("Name").fill("github")
        press(page, "Create credential")
        page.wait_for_url("**/projects/acme#credentials")
        expect(page.get_by_role("link", name="github", exact=True)).to_be_visible()

    def test_of_a_new_job_whose_address_is_new_with_its_first_step(self, page: Page) -> None:
        look(page, "/jobs/new")
        page.get_by_text("More", exact=True).click()
        page.get_by_label("Webhook secret of this job alone").fill(SECRET)
        page.get_by_label("Repository").fill("no address")
        press(page, "Continue")
        expect(page.get_by_label("Repository")).to_be_focused()
        expect(page.get_by_label("Webhook secret of this job alone")).to_have_value(SECRET)
        expect(page.locator("main form.settings")).to_have_attribute(
            "action", re.compile("/jobs/new/[0-9]+/source")
        )

    def test_a_server_without_an_answer_costs_nothing(self, browser: Browser, address: str) -> None:
        page = visitor(browser, address)
        look(page, SETTINGS)
        type_secrets(page)
        page.route(f"**{SETTINGS}", lambda route: route.abort())
        press(page, "Save settings of report")
        expect(page.get_by_text("What you typed is still here: try again.")).to_be_visible()
        assert secrets(page) == [SECRET, SECRET]
        page.unroute(f"**{SETTINGS}")
        press(page, "Save settings of report")
        page.wait_for_url(f"**{SETTINGS}?saved=1")
        page.context.close()


def test_a_common_time_is_pressed_and_the_next_ones_are_told(page: Page) -> None:
    look(page, SETTINGS)
    page.get_by_label("By schedule too").check()
    press(page, "each night at 03:00")
    expect(page.get_by_label("Cron")).to_have_value("0 3 * * *")
    said = page.locator("[data-next-times]")
    expect(said).to_contain_text("Next: ")
    expect(said.locator("time")).to_have_count(3)
    press(page, "Europe/Berlin")
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Berlin")
    expect(said.locator("time").first).to_contain_text("03:00:00")


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
