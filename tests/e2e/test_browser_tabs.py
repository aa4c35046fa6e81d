"""The shell as a tab beside the log: by mouse, keyboard and address, and without losing the log's place."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser import look
from tests.support.clock import Clock
from tests.support.seed import World, world

LINES = b"".join(b"line %d\n" % number for number in range(400))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Clock(at=None)) as each:
        yield each


def test_the_tabs_of_a_run_are_in_the_address_and_on_the_keyboard(page: Page, made: World) -> None:
    run = made.run(made.job("talking"), datetime.now(UTC), log=LINES)
    look(page, f"/runs/{run}?attempt=1")
    log, shell = (page.get_by_role("tab", name=name) for name in ("Log", "Shell"))
    box, offer = page.locator("[data-log]"), page.get_by_role("button", name="Open a shell in instance 0")
    expect(box).to_be_visible()
    expect(offer).to_be_hidden()

    log.focus()
    page.keyboard.press("ArrowRight")
    expect(shell).to_be_focused()
    expect(shell).to_have_attribute("aria-selected", "true")
    expect(offer).to_be_visible()
    expect(box).to_be_hidden()
    assert page.url.endswith("?attempt=1&tab=shell")

    made.run(made.job("other"), datetime.now(UTC))
    page.reload()
    expect(offer).to_be_visible()
    page.get_by_role("tab", name="Log").click()
    expect(box).to_be_visible()
    assert page.url.endswith("?attempt=1")
    expect(box).to_contain_text("line 399")


def test_a_log_keeps_its_place_while_the_shell_is_shown(page: Page, made: World) -> None:
    run = made.run(made.job("quiet"), datetime.now(UTC), log=LINES)
    look(page, f"/runs/{run}")
    box = page.locator("[data-log]")
    box.evaluate("each => { each.scrollTop = each.scrollHeight / 2; }")
    place = box.evaluate("each => each.scrollTop")
    page.get_by_role("tab", name="Shell").click()
    expect(box).to_be_hidden()
    page.get_by_role("tab", name="Log").click()
    expect(box).to_be_visible()
    assert box.evaluate("each => each.scrollTop") == place


def test_what_was_fetched_for_another_tab_does_not_bring_it_back(page: Page, made: World) -> None:
    run = made.run(made.job("talking"), datetime.now(UTC), log=LINES)
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.resource_type == "fetch":
            held.append(route)
        else:
            route.continue_()

    page.route(f"**/runs/{run}*", hold)
    # Each page fetches itself once as it begins to follow what changes: the first of all is held.
    with page.expect_request(lambda request: request.resource_type == "fetch" and "/runs/" in request.url):
        look(page, f"/runs/{run}?attempt=1")
    shell = page.get_by_role("tab", name="Shell")
    shell.click()
    with page.expect_request(lambda request: request.url.endswith("tab=shell")):  # the page asks once more
        held[0].continue_()
    assert shell.get_attribute("aria-selected") == "true"
