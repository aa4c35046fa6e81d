"""A real server on a port of its own and a real browser that looks at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from playwright.sync_api import Browser, BrowserContext, Error, Page, Response, expect, sync_playwright

from app.web import libraries
from tests.support.seed import PASSWORD, World
from tests.support.server_context import ADMIN_TOKEN

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
# A connection that is lost is tried again after 3 s, and the networks of engines beside it may end it twice.
expect.set_options(timeout=PATIENCE * 1000)
NO_COMPLAINTS = ("the server responded with a status of 4", "ERR_NETWORK_CHANGED")
NETWORK_CHANGES = 5  # while a page is gone to
# Every text whose contrast with its ground is below AA.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (css) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest("svg, :disabled, script")) continue;
    const [a, b] = [light(rgba(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const said = walker.currentNode.data.trim().slice(0, 40);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${e.tagName}.${e.className} ${said}`);
  }
  return low;
}"""


@contextmanager
def serving(world: World, port: int = 0) -> Iterator[str]:
    """The world's pages over HTTP; yields the address."""
    assert libraries.missing() == "", libraries.missing()
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
def browsing(*args: str) -> Iterator[Browser]:
    """A browser, with further arguments of its command."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGS, *args])
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
    token: str = ADMIN_TOKEN,
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
    page.goto = _going_again(page.goto)  # type: ignore[method-assign]
    if logged_in:
        page.goto("/login")
        page.get_by_label("API token").fill(token)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/")
    return page


def sign_in(page: Page, name: str) -> None:
    """As one of the world's users, on the page that asks for it."""
    page.get_by_label("Name or e-mail").fill(name)
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()


def _going_again(go: Callable[..., Response | None]) -> Callable[..., Response | None]:
    """Go to an address again where Chromium gave up: it does as containers start, which have addresses of their own."""

    def going(*args: Any, **options: Any) -> Response | None:
        for _ in range(NETWORK_CHANGES):
            try:
                return go(*args, **options)
            except Error as error:
                if "ERR_NETWORK_CHANGED" not in error.message:
                    raise
        return go(*args, **options)

    return going


def listen(page: Page) -> list[str]:
    """Errors of scripts and of the security policy; a page that is not there is no complaint, nor is it that the
    machine got another network meanwhile, as it does with each container that starts.
    """
    complaints: list[str] = []

    def note(text: str) -> None:
        if not any(known in text for known in NO_COMPLAINTS):
            complaints.append(text)

    page.on("console", lambda message: note(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: note(str(error)))
    return complaints


def look(page: Page, path: str) -> int:
    """Go there; returns the status that the server answered with."""
    answer = page.goto(path)
    page.locator("html[data-ready]").wait_for()
    assert answer is not None
    return answer.status
