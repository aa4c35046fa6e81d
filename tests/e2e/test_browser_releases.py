"""Apps, pipelines and flows made and changed in a real browser, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import listen, look, serving, visitor
from tests.support.clock import Clock
from tests.support.seed import World, world


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Clock(at=None)) as each:
        now = each.clock.now()
        for number, name in enumerate(("migrate", "report", "report-live", "web")):
            each.build(each.job(name, repository="acme/shop"), now, sha=f"{number + 1:040x}")
        yield each


@pytest.fixture
def page(browser: Browser, made: World) -> Iterator[Page]:
    with serving(made) as address:
        each = visitor(browser, address)
        complaints = listen(each)
        yield each
        each.context.close()
        assert complaints == []


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_an_app_is_made_deployed_and_deleted(page: Page) -> None:
    look(page, "/apps")
    page.get_by_role("link", name="New app").click()
    page.get_by_label("Name").fill("Shop")
    for name in ("web", "migrate"):
        page.get_by_label("Job to add").select_option(name)
        press(page, "Add this job")
        expect(page.locator(f"#line-{name}")).to_be_visible()
    assert page.get_by_label("Name").input_value() == "Shop"  # in place: nothing that was typed is lost
    press(page, "Move migrate up")
    expect(page.locator(".line").first).to_have_id("line-migrate")
    page.get_by_label("When migrate runs in a deployment").select_option("pre-deploy")
    press(page, "Create the app")
    expect(page.locator("#f-name")).to_be_focused()  # the first wrong field
    page.get_by_label("Name").fill("shop")
    press(page, "Create the app")
    expect(page.get_by_role("heading", name="shop", level=1)).to_be_visible()
    page.get_by_role("link", name="Deploy…").click()
    expect(page.locator("#outlook")).to_contain_text("deployed by admin token")
    page.get_by_label("A commit").check()
    page.get_by_label("Commit", exact=True).fill("f" * 40)
    press(page, "What would happen?")
    expect(page.locator("#outlook")).to_contain_text("fffffff, which is built first")
    page.get_by_label("The latest builds").check()
    press(page, "Deploy to shop")
    expect(page.locator("#deployment-1")).to_contain_text("Deploy of the latest builds by admin token.")


def test_a_pipeline_is_arranged_by_keyboard_and_promotes_after_a_forecast(page: Page) -> None:
    look(page, "/pipelines")
    page.get_by_role("link", name="New pipeline").click()
    page.get_by_label("Name", exact=True).fill("main")
    press(page, "Remove stage development")
    expect(page.get_by_label("Stage development")).to_have_count(0)
    page.get_by_label("Job or app for staging").select_option("report")
    press(page, "Add it to staging")
    expect(page.locator("#component-report")).to_be_visible()
    page.get_by_label("Job or app for staging").select_option("report-live")
    press(page, "Add it to staging")
    move = page.get_by_role("button", name="Move report-live to the next stage", exact=True)
    move.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Stage production").locator("#component-report-live")).to_be_visible()
    press(page, "Create the pipeline")
    expect(page.locator(".between")).to_contain_text("report → report-live")
    page.get_by_role("link", name="Promote report to production…").click()
    expect(page.locator("#outlook")).to_contain_text("Nothing was done yet.")
    press(page, "Promote to production")
    expect(page.get_by_text("promoted from report (staging) to report-live")).to_be_visible()


def test_a_flow_is_put_together_checked_and_started(page: Page) -> None:
    look(page, "/flows")
    page.get_by_role("link", name="New flow").click()
    page.get_by_label("Name", exact=True).fill("release")
    for number, kind in enumerate(("approval", "run", "message")):
        page.get_by_label("Type of the node to add").select_option(kind)
        press(page, "Add a node")
        section = page.locator(f"#of-{number}")
        section.get_by_label("Name", exact=True).fill(f"{kind}-node")
    page.locator("#of-1").get_by_label("Job", exact=True).select_option("web")
    page.locator("#of-1").get_by_text("What is different in this run").click()
    page.locator("#of-1").get_by_label("Secret variables").fill("KEY=a text that is never shown")
    press(page, "Check")
    expect(page.locator("#f-message\\.2")).to_be_focused()
    expect(page.locator("#of-2")).to_contain_text("message")
    assert (
        page.locator("#of-1").get_by_label("Secret variables").input_value()
        == "KEY=a text that is never shown"
    )
    page.locator("#of-2").get_by_label("Message", exact=True).fill("Done.")
    page.locator("#of-2").get_by_label("Side by side with the one before").check()
    press(page, "Check")
    expect(page.get_by_text("It could be saved like this.")).to_be_visible()
    expect(page.locator("#graph-text")).to_have_text(
        "approval-node, then run-node and message-node side by side."
    )
    press(page, "Create the flow")
    press(page, "Start release")
    expect(page.get_by_text("Started manually by admin token")).to_be_visible()
