"""A newcomer with a browser alone, on a real server and engine: from the set-up address to the run of a push."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.support.browser import browsing, listen, visitor
from tests.support.hosted import HostedJob
from tests.support.payloads import encode, push_headers
from tests.support.server import SECRET, JobyardServer, jobyard_server

MOST_CLICKS = 8
PATIENCE = 180_000  # milliseconds, for an image on a busy machine
PROGRAM = {"main.py": "print('Hello from the first run')\n", "Procfile": "worker: python main.py\n"}


class Clicks:
    """What was clicked, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, found: Locator) -> None:
        self.names.append(found.inner_text())
        found.click()


def test_from_the_set_up_address_to_the_finished_run_of_a_push(
    tmp_path: Path, host: Callable[[JobyardServer], HostedJob]
) -> None:
    with jobyard_server(tmp_path / "data") as server, browsing() as browser:
        hosted = host(server)
        hosted.repository.commit(dict(PROGRAM), "First")
        [code] = set(re.findall(r"/login/once/\S+", server.log))
        page = visitor(browser, server.url, logged_in=False)
        complaints = listen(page)
        began = time.monotonic()
        clicks = Clicks()
        page.goto(code)
        _walk(page, clicks, server, hosted)
        seconds = time.monotonic() - began
        print(f"newcomer: {len(clicks.names)} clicks, {seconds:.1f} s: {' · '.join(clicks.names)}")
        assert len(clicks.names) <= MOST_CLICKS
        _to_a_green_badge(page, server, hosted)
        assert complaints == []


def _walk(page: Page, click: Clicks, server: JobyardServer, hosted: HostedJob) -> None:
    page.get_by_label("Name", exact=True).fill("ada")
    page.get_by_label("Password", exact=True).fill("a password of a newcomer")
    page.get_by_label("The same password again").fill("a password of a newcomer")
    click(page.get_by_role("button", name="Create account"))
    click(page.get_by_role("link", name="Create a project").first)
    page.get_by_label("Name", exact=True).fill("acme")
    page.get_by_label("Webhook secret").fill(SECRET)
    click(page.get_by_role("button", name="Create project"))
    click(page.get_by_role("link", name="Create the first job"))
    page.get_by_label("Repository").fill(hosted.url)
    click(page.get_by_role("button", name="Continue"))
    expect(page.get_by_label("Run", exact=True)).to_have_value("python main.py")
    click(page.get_by_role("button", name="Continue"))
    expect(page.get_by_label("Name", exact=True)).to_have_value(hosted.name)
    click(page.get_by_role("button", name="Continue"))
    expect(page.locator("#s-push")).to_be_visible()
    expect(page.locator("[data-ping]")).to_contain_text("Waiting for the first ping")
    _ping(server, hosted)
    expect(page.locator("[data-ping]")).to_contain_text("A ping was received")
    click(page.get_by_role("button", name="Launch job"))
    page.wait_for_url(f"**/projects/acme/jobs/{hosted.name}")
    hosted.push({"README": "pushed\n"}, "Second")
    expect(page.locator("table.runs [data-status=succeeded]").first).to_be_visible(timeout=PATIENCE)
    assert "Hello from the first run" in server.text(f"/runs/{server.runs(hosted.name)[0]['id']}/logs")


def _to_a_green_badge(page: Page, server: JobyardServer, hosted: HostedJob) -> None:
    page.goto("/projects/acme")
    expect(page.locator("#begin")).to_have_count(0)  # all first steps are done
    page.locator("#public").get_by_role("button").click()
    expect(page.locator("#public")).to_contain_text("Anybody may see")
    badge = server.http.get(f"/api/v1/projects/acme/badges/{hosted.name}.svg")
    assert badge.status_code == 200
    assert "passing" in badge.text


def _ping(server: JobyardServer, hosted: HostedJob) -> None:
    """What the forge sends when the webhook was added."""
    repository = {"full_name": f"acme/{hosted.name}", "clone_url": hosted.url}
    body = encode({"zen": "Keep it simple.", "hook_id": 1, "repository": repository})
    headers = push_headers(SECRET.encode(), body, "ping-1", event="ping")
    answer = server.http.post("/webhooks/github", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
