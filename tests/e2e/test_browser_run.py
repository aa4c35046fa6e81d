"""The page of a run in a real browser: what is on its first screen, on a desk and on a phone, and what it draws."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import CONTRAST, listen, look, serving, visitor
from tests.support.clock import Clock
from tests.support.demo_world import Demo, furnish
from tests.support.seed import world

DESK, PHONE = (1280, 860), (390, 844)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Demo]]:
    """An installation that nothing is changed in."""
    root: Path = tmp_path_factory.mktemp("run")
    with world(root, Clock(at=None)) as made:
        demo = furnish(made, datetime.now(UTC))
        with serving(made) as address:
            yield address, demo


@pytest.fixture(params=[(DESK, "light"), (PHONE, "dark")], ids=["desk", "phone"])
def page(browser: Browser, place: tuple[str, Demo], request: pytest.FixtureRequest) -> Iterator[Page]:
    (width, height), theme = request.param
    each = visitor(browser, place[0], width=width, height=height, theme=theme)
    complaints = listen(each)
    yield each
    each.context.close()
    assert complaints == []


def ends_at(what: Locator) -> float:
    box = what.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


def height_of(page: Page) -> int:
    assert page.viewport_size is not None
    return page.viewport_size["height"]


def test_a_run_that_goes_on_shows_its_log_at_once(page: Page, place: tuple[str, Demo]) -> None:
    look(page, f"/runs/{place[1].running_run}")
    assert ends_at(page.locator("[data-log-rows] > *").first) < height_of(page)
    assert page.evaluate(CONTRAST) == []


def test_one_that_failed_shows_its_error_and_what_differs(page: Page, place: tuple[str, Demo]) -> None:
    look(page, f"/runs/{place[1].failed_run}")
    tail = page.locator("[data-tail]")
    assert ends_at(tail) < height_of(page)
    expect(tail).to_contain_text("MemoryError: cannot grow the index")
    expect(page.locator("[data-differs]")).to_contain_text("env.BATCH 64 → 127")
    tail.get_by_role("link", name="In the log").click()
    expect(page.locator("[data-log-rows]").get_by_text("MemoryError")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_no_label_of_the_line_of_time_is_cut(page: Page, place: tuple[str, Demo]) -> None:
    look(page, f"/runs/{place[1].failed_run}")
    cut = page.evaluate(
        """() => [...document.querySelectorAll(".lane svg")].filter((span) =>
          [...span.querySelectorAll("text")].some((text) => text.checkVisibility()
            && text.getBBox().x + text.getBBox().width > span.querySelector("rect").getBBox().width))
          .map((span) => span.textContent.trim())"""
    )
    assert cut == []
    labels = page.locator(".lane text:visible")
    assert labels.count() >= 2
