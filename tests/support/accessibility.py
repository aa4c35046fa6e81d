"""What axe-core, the browser's console and the page's own width say of a page."""

from __future__ import annotations

from collections.abc import Sequence

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, ViewportSize

from tests.support.browser import look

DESK, PHONE, NARROW = (1440, 900), (390, 844), (320, 700)
# Two rules that axe leaves out by itself: targets of 24 px, and labels that hold what is read on their control.
RUN = """async (only) => {
  const rules = { "target-size": { enabled: true }, "label-content-name-mismatch": { enabled: true } };
  const options = { resultTypes: ["violations"], iframes: false, preload: false };
  const { violations } = await axe.run(document, { ...options, ...(only ? { runOnly: only } : { rules }) });
  return violations
    .filter((each) => ["serious", "critical"].includes(each.impact))
    .flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.html.slice(0, 160)}`));
}"""
TOO_WIDE = """() => {
  const wide = document.documentElement.scrollWidth > innerWidth ? ["the page"] : [];
  const cut = [...document.querySelectorAll(".card")].filter((e) => e.scrollWidth > e.clientWidth);
  return [...wide, ...cut.map((e) => `card ${e.id || e.getAttribute("aria-labelledby") || e.className}`)];
}"""
UNFOLD = """() => {
  for (const each of document.querySelectorAll("main details")) each.open = true;
}"""


def faults(page: Page) -> list[str]:
    """Everything that is wrong with the page as it is open: on a desk and two phones, light and dark, all unfolded."""
    page.set_viewport_size(_size(DESK))
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.evaluate(AXE_SCRIPT)
    found = [f"desk: {each}" for each in page.evaluate(RUN, None) + page.evaluate(TOO_WIDE)]
    page.evaluate(UNFOLD)
    page.emulate_media(color_scheme="dark")
    found += [f"desk, dark: {each}" for each in page.evaluate(RUN, ["color-contrast"])]
    for name, size in (("phone", PHONE), ("narrow", NARROW)):
        page.set_viewport_size(_size(size))
        found += [f"{name}: {each}" for each in page.evaluate(TOO_WIDE)]
    page.set_viewport_size(_size(PHONE))
    found += [f"phone, dark: {each}" for each in page.evaluate(RUN, None)]
    page.emulate_media(color_scheme="light")
    found += [f"phone: {each}" for each in page.evaluate(RUN, ["color-contrast"])]
    return list(dict.fromkeys(found))


def faults_of(page: Page, paths: Sequence[str], status: int = 200) -> dict[str, list[str]]:
    """The pages with faults, each with its own; another status than the one that is expected is a fault."""
    found = {}
    for path in paths:
        answered = look(page, path)
        wrong = [] if answered == status else [f"answers {answered}"]
        if wrong := wrong + faults(page):
            found[path] = wrong
    return found


def _size(of: tuple[int, int]) -> ViewportSize:
    return {"width": of[0], "height": of[1]}
