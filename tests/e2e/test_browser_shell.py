"""A shell in a real container, as somebody uses it in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import browsing, listen, look, visitor
from tests.support.server import TOKEN, JobyardServer, jobyard_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobyardServer]:
    with jobyard_server(tmp_path_factory.mktemp("shell") / "data") as server:
        yield server


@pytest.fixture
def run(server: JobyardServer) -> Any:
    """A run of two instances that are started."""
    name = f"report-{len(server.items('/projects/acme/jobs')) if server.items('/projects') else 0}"
    source = {"type": "image", "image": "busybox:latest"}
    quick = {"grace_period_seconds": 1, "instances": 2}
    server.make_job(name, "", source=source, command=["sleep", "1000"], **quick)
    made = server.api("POST", f"/projects/acme/jobs/{name}/runs", {})

    def are_started() -> bool:
        attempts = server.api("GET", f"/runs/{made['id']}/attempts")["items"]
        return bool(attempts) and all(each["started_at"] for each in attempts[0]["containers"])

    server.wait_for("the containers are started", are_started)
    return made


@pytest.fixture(params=[(1280, 860), (390, 780)], ids=["desk", "phone"])
def page(server: JobyardServer, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, height = request.param
    with browsing() as browser:
        each = visitor(browser, server.url, width=width, height=height, token=TOKEN)
        complaints = listen(each)
        yield each
        each.context.close()
        assert complaints == []


def shows(what: Locator, text: str) -> None:
    """However busy the engine is with others."""
    expect(what).to_contain_text(text, timeout=60_000)


def test_a_shell_from_its_opening_to_the_end_of_the_run(page: Page, server: JobyardServer, run: Any) -> None:
    look(page, f"/runs/{run['name']}")
    panel = page.locator("[data-shell]")
    expect(panel).to_be_hidden()
    page.get_by_role("button", name="Shell in instance 1", exact=True).click()
    expect(page.get_by_role("tab", name="Shell")).to_have_attribute("aria-selected", "true")
    assert page.url.endswith("?tab=shell")
    rows = panel.locator(".xterm-rows")
    shows(rows, "/ #")
    shows(panel, "secrets unmasked")
    page.keyboard.type("echo $JOBYARD_INSTANCE_INDEX-$((40 + 2)); stty size\n")
    shows(rows, "1-42")

    page.keyboard.type("clear; printf '\\033[38;2;1;200;3mgreen\\033[0m'; seq 3000 | tail -1\n")
    green = rows.get_by_text("green", exact=True)
    expect(green).to_have_css("color", "rgb(1, 200, 3)", timeout=60_000)
    wide = page.viewport_size
    assert wide is not None
    page.set_viewport_size({"width": wide["width"] - 60, "height": wide["height"]})
    page.keyboard.type("clear; stty size\n")
    columns = page.evaluate("document.querySelector('.xterm-rows').firstElementChild.clientWidth")
    assert columns <= wide["width"] - 60

    page.keyboard.type("yes | head -n 200000; echo done-$((40 + 3))\n")
    shows(rows, "done-43")
    page.keyboard.press("Control+Shift+Escape")
    expect(panel.get_by_role("button", name="Close")).to_be_focused()

    server.api("POST", f"/runs/{run['id']}/cancel", {})
    shows(panel, "The container has ended, and the shell with it.")
    shows(rows, "done-43")  # what was shown stays to be read
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()
    expect(page.get_by_role("button", name="shell in instance 1")).to_have_count(0)
