"""Every page, as axe-core sees it: nothing serious, nothing too wide, no complaint of the browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from app.web.pages import page_routes
from app.web.pages.context import StreamRoute
from tests.support.accessibility import faults, faults_of
from tests.support.browser import listen, look, serving, visitor
from tests.support.clock import Clock
from tests.support.demo_shared import furnish_shared
from tests.support.demo_world import furnish
from tests.support.forms import form_fields
from tests.support.one_of_each import NAMES, make_one_of_each
from tests.support.seed import PASSWORD, World, world
from tests.support.visiting import visitor as logged_in

NO_PAGES = {
    "/streams",
    "/jobs/new/{draft}/name",
    "/runs/{run}/log",
    "/builds/{build}/log",
    "/login/oidc",
    "/login/oidc/callback",
}
ROUTES = [
    route.path
    for route in page_routes()
    if "GET" in (route.methods or ()) and not isinstance(route, StreamRoute) and route.path not in NO_PAGES
]
OPEN = [path for path in ROUTES if path.startswith("/login")]
PAGES = [path for path in ROUTES if path not in OPEN]
PARTS = 4  # of a long walk
FILLED = {**NAMES, "user": "1", "draft": "1", "chapter": "first-steps"}


def filled(path: str) -> str:
    names = {**FILLED, "run": "1"} if path.startswith("/flows/") else FILLED
    return re.sub(r"\{(\w+)\}", lambda match: names[match[1]], path)


@contextmanager
def visiting(browser: Browser, made: World, name: str | None) -> Iterator[Page]:
    """A browser of somebody; whatever it complains about fails the test."""
    with serving(made) as address:
        page = visitor(browser, address, logged_in=False)
        complaints = listen(page)
        if name is not None:
            page.goto("/login")
            page.get_by_label("Name or e-mail").fill(name)
            page.locator("#password").fill(PASSWORD)
            page.get_by_role("button", name="Log in", exact=True).click()
            page.wait_for_url("**/")
        yield page
        page.context.close()
        assert complaints == []


@pytest.mark.parametrize("name", ["admin-user", "viewer-user"])
@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_with_one_of_everything(browser: Browser, tmp_path: Path, name: str, part: int) -> None:
    with world(tmp_path, Clock(at=None)) as made:
        make_one_of_each(made.context)
        begin_a_draft(made)
        paths = [*map(filled, PAGES), "/nothing-here", "/search?q=report7k"]
        with visiting(browser, made, name) as page:
            assert faults_of(page, paths[part::PARTS]) == {}


def begin_a_draft(made: World) -> None:
    """The first draft of a job, which is the administrator's."""
    client = logged_in(made)
    answer = client.post("/jobs/new", data=form_fields(client.get("/jobs/new?source=none").text, "/jobs/new"))
    assert answer.headers["location"].startswith("/jobs/new/1/")


def test_the_pages_of_an_afternoon_of_work(browser: Browser, tmp_path: Path) -> None:
    with world(tmp_path, Clock(at=None)) as made:
        demo = furnish(made, datetime.now(UTC))
        furnish_shared(made)
        job = "/projects/acme/jobs/embeddings"
        paths = ["/", "/projects/acme", "/runs", "/builds", "/decisions", "/schedule", "/deliveries"]
        paths += [f"/runs/{each}" for each in (demo.failed_run, demo.running_run, demo.finished_run)]
        paths += [f"/builds/{each}" for each in (demo.build, demo.running_build)]
        paths += [job, f"{job}/run", f"{job}/decisions", f"{job}/settings", f"{job}/deploy"]
        with visiting(browser, made, "admin-user") as page:
            assert faults_of(page, paths) == {}


def test_every_page_of_an_empty_installation(browser: Browser, tmp_path: Path) -> None:
    with world(tmp_path, Clock(at=None)) as made, visiting(browser, made, "admin-user") as page:
        assert faults_of(page, [path for path in PAGES if "{" not in path]) == {}


def test_pages_of_nobody(browser: Browser, tmp_path: Path) -> None:
    with world(tmp_path, Clock(at=None)) as made, visiting(browser, made, None) as page:
        assert faults_of(page, [*map(filled_code, OPEN), "/runs/1"]) == {}


def filled_code(path: str) -> str:
    return path.replace("{code}", "a-code-that-is-void")


FORMS = ("/jobs/new", "/projects", "/users", "/settings", "/rehearse", "/projects/acme/secret-groups")


def test_forms_that_were_refused(browser: Browser, tmp_path: Path) -> None:
    with world(tmp_path, Clock(at=None)) as made:
        make_one_of_each(made.context)
        with visiting(browser, made, "admin-user") as page:
            found = {}
            for path in FORMS:
                look(page, path)
                form = page.locator("main form[method=post]:not([action*=delete])").first
                form.evaluate("form => { form.noValidate = true; form.requestSubmit(); }")
                page.wait_for_load_state("load")
                page.locator("html[data-ready]").wait_for()
                found[path] = faults(page)
            assert {path: wrong for path, wrong in found.items() if wrong} == {}


def test_a_shared_link_opens_what_it_meant_after_the_login(browser: Browser, tmp_path: Path) -> None:
    with world(tmp_path, Clock(at=None)) as made, visiting(browser, made, None) as page:
        look(page, "/runs?status=failed#main")
        page.get_by_label("Name or e-mail").fill("viewer-user")
        page.locator("#password").fill(PASSWORD)
        page.get_by_role("button", name="Log in", exact=True).click()
        page.wait_for_url("**/runs?status=failed#main")
