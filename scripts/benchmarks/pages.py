"""`pages`: what the pages that people live in cost with 1,000 jobs and 1,000,000 runs; two minutes to get there."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import sync_playwright

from scripts.benchmarks.million import RUNS, furnished
from scripts.benchmarks.weight import cpu_seconds, row
from tests.support.browser import ARGS, CHROMIUM
from tests.support.server import TOKEN, JobyardServer

REQUESTS, PAINTS = 60, 9
KB = 1000
# Milliseconds at p50: of the overview, of a job's and a run's page, of a list; and in the browser.
OVERVIEW_MS, PAGE_MS, LIST_MS, PAINT_MS = 25.0, 20.0, 50.0, 300.0
FIRST_VIEW_KB, NODES = 40.0, 2500
JOB = "/projects/team-07/jobs/job-0371"
RUN_OF_JOB = RUNS - 1000 + 371
PAGES = {
    "overview": ("/", OVERVIEW_MS),
    "overview, sorted and filtered": ("/?name=job-03&sort=latest&group=project", OVERVIEW_MS),
    "all runs": ("/runs", LIST_MS),
    "failed runs": ("/runs?status=failed&trigger=schedule", LIST_MS),
    "a project's runs in a time": ("/runs?project=team-07&since={ago}&status=failed", LIST_MS),
    "runs of a kind there is none of": ("/runs?trigger=promotion", LIST_MS),
    "all decisions": ("/decisions", LIST_MS),
    "a job": (JOB, PAGE_MS),
    "a run": (f"/runs/{RUN_OF_JOB}", PAGE_MS),
}


def run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        server = furnished(Path(name) / "data")
        try:
            return {"benchmark": "pages", "rows": list(measured(server))}
        finally:
            server.kill()
            server.http.close()


def measured(server: JobyardServer) -> Iterator[dict[str, Any]]:
    answer = server.http.post("/login", data={"name": "admin", "password": TOKEN, "next": "/"})
    assert answer.status_code == 303, answer.text
    ago = f"{datetime.now(UTC) - timedelta(days=40):%Y-%m-%dT00:00:00Z}"
    for what, (pattern, bound) in PAGES.items():
        path = pattern.format(ago=ago)
        _milliseconds(server, path)
        spent = cpu_seconds(server.pid)
        taken = [_milliseconds(server, path) for _ in range(REQUESTS)]
        spent = 1000 * (cpu_seconds(server.pid) - spent) / REQUESTS
        yield row(f"{what}: processor time", spent, "ms", bound, REQUESTS)
        yield row(f"{what}: p50", median(taken), "ms", bound, REQUESTS, all_ours=taken)
    yield from _in_a_browser(server)


def _milliseconds(server: JobyardServer, path: str) -> float:
    began = time.perf_counter()
    answer = server.http.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return round(1000 * (time.perf_counter() - began), 2)


def _in_a_browser(server: JobyardServer) -> Iterator[dict[str, Any]]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        for what, path in (("overview", "/"), ("run", f"/runs/{RUN_OF_JOB}")):
            taken, sent, nodes = [], 0, 0
            for _ in range(PAINTS):
                context = browser.new_context(base_url=server.url, viewport={"width": 1280, "height": 860})
                cookies = [
                    {"name": each.name, "value": each.value, "url": server.url}
                    for each in server.http.cookies.jar
                ]
                context.add_cookies(cookies)
                page = context.new_page()
                page.goto(path)
                page.locator("html[data-ready]").wait_for()
                taken.append(page.evaluate(FIRST_PAINT))
                sent = page.evaluate(SENT)
                nodes = page.evaluate("document.querySelectorAll('*').length")
                context.close()
            yield row(f"{what}: first paint", median(taken), "ms", PAINT_MS, PAINTS, all_ours=taken)
            yield row(f"{what}: first view", sent / KB, "kB", FIRST_VIEW_KB, 1)
            yield row(f"{what}: elements", nodes, "", NODES, 1)
        browser.close()


FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SENT = """[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .reduce((sum, each) => sum + each.encodedBodySize, 0)"""
