"""A real server on a port of its own and a real browser that looks at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support.seed import ADMIN_TOKEN, World

CHROMIUM = "/usr/bin/chromium"
ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 10.0  # seconds


@contextmanager
def serving(world: World, port: int = 0) -> Iterator[str]:
    """The world's pages over HTTP; yields the address."""
    config = uvicorn.Config(
        world.app(), port=port, log_level="warning", timeout_graceful_shutdown=1, lifespan="on"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.started, "the server did not start"
    address = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://{address[0]}:{address[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


@contextmanager
def browsing() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


def visitor(
    browser: Browser,
    address: str,
    *,
    width: int = 1280,
    height: int = 860,
    theme: str = "light",
    logged_in: bool = True,
) -> Page:
    """A page of a browser of its own, in Berlin, logged in as administrator."""
    context: BrowserContext = browser.new_context(
        base_url=address,
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        timezone_id="Europe/Berlin",
        locale="en-GB",
    )
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    if logged_in:
        page.goto("/login")
        page.get_by_label("API token").fill(ADMIN_TOKEN)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/")
    return page
