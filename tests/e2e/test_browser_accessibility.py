"""Every page, as axe-core sees it: nothing serious, nothing too wide, no complaint of the browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from app.domain.principals import Role
from app.web.guide.chapters import CHAPTERS
from tests.support.accessibility import faults, faults_of
from tests.support.browser import listen, look, serving, sign_in, visitor
from tests.support.clock import Clock
from tests.support.demo_shared import furnish_shared
from tests.support.demo_world import furnish
from tests.support.every_page import OPEN, PAGES, one_of_everything, pages_of
from tests.support.one_of_each import make_one_of_each
from tests.support.seed import World, world
from tests.support.visiting import visitor as logged_in

PARTS = 4  # of a long walk


@contextmanager
def visiting(browser: Browser, made: World, name: str | None) -> Iterator[Page]:
    """A browser of somebody; whatever it complains about fails the test."""
    with serving(made) as address:
        page = visitor(browser, address, logged_in=False)
        complaints = listen(page)
        if name is not None:
            look(page, "/login")
            sign_in(page, name)
            page.wait_for_url("**/")
            page.locator("html[data-ready]").wait_for()  # one that is left as it loads complains
        yield page
        page.context.close()
        assert complaints == []


@pytest.fixture
def everything(tmp_path: Path) -> Iterator[World]:
    with one_of_everything(tmp_path) as made:
        yield made


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_with_one_of_everything(browser: Browser, everything: World, part: int) -> None:
    paths = [*pages_of(everything).values(), "/projects/acme/credentials/by-ssh"]
    with visiting(browser, everything, "admin-user") as page:
        assert faults_of(page, paths[part::PARTS]) == {}
        if part == 0:
            assert faults_of(page, ["/nothing-here"], status=404) == {}


@pytest.mark.parametrize("part", range(2))
def test_every_page_that_a_viewer_may_see(browser: Browser, everything: World, part: int) -> None:
    viewer = logged_in(everything, Role.VIEWER)
    statuses = {path: viewer.get(path).status_code for path in pages_of(everything).values()}
    assert set(statuses.values()) == {200, 403}
    seen = [path for path, status in statuses.items() if status == 200]
    refused = next(path for path, status in statuses.items() if status == 403)
    with visiting(browser, everything, "viewer-user") as page:
        assert faults_of(page, seen[part::2]) == {}
        assert faults_of(page, [refused], status=403) == {}


@pytest.mark.parametrize("part", range(2))
def test_every_chapter_of_the_guide(browser: Browser, tmp_path: Path, part: int) -> None:
    with world(tmp_path, Clock(at=None)) as made, visiting(browser, made, "admin-user") as page:
        assert faults_of(page, [f"/help/{chapter.name}" for chapter in CHAPTERS[part::2]]) == {}


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
        assert faults_of(page, [path for path in OPEN if "{" not in path] + ["/runs/1"]) == {}
        assert faults_of(page, ["/login/once/a-code-that-is-void"], status=410) == {}


OF_PROJECT = ("secret-groups", "credentials", "github-apps", "build-services")
MADE_NEW = ("notification-target", "pipeline", "flow", "app")
FORMS = ["/jobs/new", "/projects", "/users", "/settings", "/rehearse"]
FORMS += [f"/projects/acme/{each}" for each in (*OF_PROJECT, *(f"new/{name}" for name in MADE_NEW))]


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
        sign_in(page, "viewer-user")
        page.wait_for_url("**/runs?status=failed#main")
