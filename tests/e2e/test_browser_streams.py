"""Several live pages of one browser at once: all change, rest while hidden, and end with the session."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from app.domain.principals import Role
from app.domain.redaction import Redactor
from app.domain.runs import Trigger, TriggerType
from app.logs import Stream
from app.web import event_streams
from tests.support.browser import look, serving, visitor
from tests.support.clock import Clock
from tests.support.seed import PASSWORD, SUCCEEDED, World, world

MANUAL = Trigger(TriggerType.MANUAL, by="ada", cause="Started manually by ada.")
WITHOUT_SHARED_WORKERS = "delete globalThis.SharedWorker;"
# As a tab that is behind another is, and again in front.
HIDE = """isHidden => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path / "world", Clock(at=None)) as each:
        yield each


def running(made: World, name: str, log: bytes) -> int:
    return made.run(made.job(name), datetime.now(UTC), trigger=MANUAL, log=log)


def shows(page: Page, line: str) -> None:
    expect(page.locator("[data-log] .row .x").last).to_have_text(line)


def test_eight_live_pages_of_one_browser_all_change(page: Page, made: World) -> None:
    run = running(made, "talking", b"one")
    pages = [page, *(page.context.new_page() for _ in range(7))]
    for number, each in enumerate(pages):
        look(each, "/" if number % 2 else f"/runs/{run}")
        each.evaluate("window.notReloaded = true")
    with made.log_storage.write_attempt(run, 1, Redactor([])) as writer:
        writer.write(datetime.now(UTC), Stream.STDOUT, b"two\n")
        for each in pages[::2]:
            shows(each, "two")
        writer.end_streams()
    made.end_attempt(run, SUCCEEDED, datetime.now(UTC))
    for each in pages[::2]:
        expect(each.locator("h1")).to_contain_text("Succeeded")
    for each in pages[1::2]:
        expect(each.locator(".c-latest")).to_contain_text("Succeeded")
    assert all(each.evaluate("window.notReloaded") for each in pages)


def test_a_browser_without_shared_workers_has_one_stream_a_page(page: Page, made: World) -> None:
    run = running(made, "talking", b"one")
    streams: list[str] = []

    def note(request: Request) -> None:
        if "/streams?" in request.url:
            streams.append(request.url)

    page.add_init_script(WITHOUT_SHARED_WORKERS)
    page.on("request", note)
    look(page, f"/runs/{run}")
    shows(page, "one")
    with made.log_storage.write_attempt(run, 1, Redactor([])) as writer:
        writer.write(datetime.now(UTC), Stream.STDOUT, b"two\n")
        shows(page, "two")
        writer.end_streams()
    made.end_attempt(run, SUCCEEDED, datetime.now(UTC))
    expect(page.locator("h1")).to_contain_text("Succeeded")
    assert "live" in streams[-1]
    assert "follow" in streams[-1]
    assert len(streams) <= 2, (
        "the page opens its stream anew at most for the log, whose script may come later"
    )


def test_a_hidden_tab_rests_and_catches_up_when_it_is_seen(page: Page, made: World) -> None:
    job = made.job("quiet")
    look(page, "/")
    row = page.locator(f"#job-{job.id} .c-latest")
    other = page.context.new_page()
    look(other, "/")
    page.evaluate(HIDE, True)
    run = made.run(job, datetime.now(UTC), trigger=MANUAL, seconds=1)
    expect(other.locator(f"#job-{job.id} .c-latest")).to_contain_text("Running")
    made.end_attempt(run, SUCCEEDED, datetime.now(UTC))
    expect(other.locator(f"#job-{job.id} .c-latest")).to_contain_text("Succeeded")
    expect(row).not_to_contain_text("Running")
    page.evaluate(HIDE, False)
    expect(row).to_contain_text("Succeeded")


@pytest.mark.parametrize("script", ["", WITHOUT_SHARED_WORKERS], ids=["shared", "alone"])
def test_a_lost_connection_is_said_and_comes_back(browser: Browser, made: World, script: str) -> None:
    with serving(made) as address:
        page = visitor(browser, address)
        if script:
            page.add_init_script(script)
        look(page, "/")
        banner = page.locator("[data-stale]")
        job = made.job("first")
        expect(page.locator(f"#job-{job.id}")).to_be_visible()
        expect(banner).to_be_hidden()
    expect(banner).to_contain_text("Connection lost, trying again in")
    job = made.job("meanwhile")
    with serving(made, int(address.rpartition(":")[2])):
        expect(page.locator(f"#job-{job.id}")).to_be_visible(timeout=10_000)
        expect(banner).to_be_hidden()
    page.context.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "ASK_AGAIN_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
def test_signing_out_in_one_tab_leads_the_others_to_the_log_in(page: Page, made: World) -> None:
    look(page, "/")
    other = page.context.new_page()
    look(other, "/deliveries")
    page.get_by_label("Your menu").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    other.wait_for_url("**/login?next=%2Fdeliveries")


@pytest.mark.usefixtures("impatient")
def test_the_pages_of_a_disabled_user_end(browser: Browser, address: str, made: World) -> None:
    page = visitor(browser, address, logged_in=False)
    page.goto("/login")
    page.get_by_label("Name or e-mail").fill(f"{Role.VIEWER}-user")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url("**/")
    look(page, "/")
    admin = visitor(browser, address)
    look(admin, "/users")
    admin.get_by_role("link", name=f"{Role.VIEWER}-user").click()
    admin.get_by_role("button", name="Disable", exact=True).click()
    page.wait_for_url("**/login?next=%2F")
    admin.context.close()
    page.context.close()
