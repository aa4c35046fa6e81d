"""Release flows in a real browser: what changes by itself, what works without scripts, phones and contrast."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, expect

from app.domain.flows import FlowStatus
from app.store import flows
from app.workers.flows import FlowWorker
from tests.support.browser import CONTRAST, listen, look, serving, visitor
from tests.support.clock import Clock
from tests.support.demo_releases import furnish_releases
from tests.support.demo_world import furnish
from tests.support.seed import World, world

ASKS = "/flows/runs/3"
PAGES = ("/flows", "/projects/acme/flows/release", "/flows/runs/2", ASKS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world"), Clock(at=None)) as each:
        now = datetime.now(UTC)
        furnish(each, now)
        furnish_releases(each, now)
        yield each


@pytest.fixture(scope="module")
def address(made: World) -> Iterator[str]:
    with serving(made) as each:
        yield each


def test_the_pages_fit_a_phone(browser: Browser, address: str) -> None:
    page = visitor(browser, address, width=360, height=740)
    complaints = listen(page)
    for path in PAGES:
        look(page, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        cut = (
            "[...document.querySelectorAll('.card, .node')].filter(e => e.scrollWidth > e.clientWidth).length"
        )
        assert page.evaluate(cut) == 0, f"something is cut off on {path}"
    assert complaints == []
    page.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_enough_contrast(browser: Browser, address: str, theme: str) -> None:
    page = visitor(browser, address, theme=theme)
    for path in PAGES:
        look(page, path)
        assert page.evaluate(CONTRAST) == [], path
    page.context.close()


def test_an_answer_moves_the_flow_on_before_ones_eyes(browser: Browser, address: str, made: World) -> None:
    page = visitor(browser, address)
    complaints = listen(page)
    look(page, ASKS)
    expect(page.locator("#node-ready .st")).to_have_text("Asks")
    page.evaluate("window.same = true")
    other = browser.new_context(
        java_script_enabled=False, storage_state=page.context.storage_state()
    ).new_page()
    other.goto(f"{address}{ASKS}")
    other.get_by_role("button", name="Approve").click()
    expect(other.locator("#node-ready .st")).to_have_text("Succeeded")
    expect(other.locator("#node-ready")).to_contain_text("Approved by")
    expect(page.locator("#node-ready .st")).to_have_text("Succeeded")
    flow_worker = FlowWorker(made.db, made.clock, made.names, made.box)
    while flow_worker.step():
        pass
    expect(page.locator("#node-live .st")).to_have_text("Succeeded")
    with made.db.read() as tx:
        assert (
            flows.run_with_id(tx, 3).status is FlowStatus.RUNNING
        )  # its last message has nobody to take it yet
    expect(page.locator("#node-tell .st")).to_have_text("Running")
    assert page.evaluate("window.same"), "it was loaded anew"
    assert complaints == []
    other.context.close()
    page.context.close()
