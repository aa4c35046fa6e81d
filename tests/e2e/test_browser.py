"""The pages in a real browser: what moves by itself, the keyboard, phones, contrast, and hostile text."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.domain.redaction import Redactor
from app.domain.runs import Trigger, TriggerType
from app.logs import Stream
from app.store import runs
from tests.support.browser import CONTRAST, listen, look, visitor
from tests.support.clock import Clock
from tests.support.demo_shared import furnish_shared
from tests.support.demo_world import Demo, furnish
from tests.support.seed import SUCCEEDED, World, world

MANUAL = Trigger(TriggerType.MANUAL, by="ada", cause="Started manually by ada.")


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Demo]:
    """The demonstration world, to be copied: tests change what they look at."""
    root = tmp_path_factory.mktemp("furnished")
    with world(root, Clock(at=None)) as each:
        demo = furnish(each, datetime.now(UTC))
        furnish_shared(each)
        return root, demo


@pytest.fixture
def made(furnished: tuple[Path, Demo], tmp_path: Path) -> Iterator[World]:
    with world(shutil.copytree(furnished[0], tmp_path / "world"), Clock(at=None)) as each:
        yield each


@pytest.fixture
def demo(furnished: tuple[Path, Demo]) -> Demo:
    return furnished[1]


def every_page(demo: Demo) -> list[str]:
    job = "/projects/acme/jobs/embeddings"
    return [
        "/",
        "/?group=project&name=e",
        "/runs?status=failed&project=acme&since=2026-01-01T00:00:00Z",
        "/builds",
        "/decisions",
        f"/runs/{demo.failed_run}",
        f"/runs/{demo.running_run}",
        f"/builds/{demo.build}",
        f"/builds/{demo.running_build}",
        job,
        f"{job}/run",
        f"{job}/decisions",
        f"{job}/settings",
        f"{job}/build",
        f"{job}/deploy",
        "/jobs/new",
        "/projects",
        "/projects/acme",
        "/projects/acme/build-services/toolbox",
        "/projects/acme/secret-groups/mail",
        "/projects/acme/credentials",
        "/projects/acme/credentials/github",
        "/rehearse",
        "/deliveries",
        "/settings",
        "/users",
        "/users/1",
        "/audit",
        "/prune",
        "/search?q=embeddings",
        "/nothing-here",
    ]


def test_overview_shows_a_jobs_row_in_the_readers_zone(page: Page, demo: Demo) -> None:
    look(page, "/")
    row = page.locator(f"#job-{demo.job.id}")
    expect(row).to_contain_text("embeddings")
    expect(row.locator("[data-status=failed]").last).to_have_text("Failed · time limit")
    expect(row.locator("time").first).to_have_text(re.compile(r"^\d+ (min|h) ago$"))
    expect(page.locator(".zone")).to_have_text("Berlin time")
    look(page, f"/runs/{demo.failed_run}")
    started = page.locator(".facts time").first
    at = datetime.fromisoformat(started.get_attribute("datetime") or "")
    hour = page.evaluate("at => new Date(at).getHours()", at.isoformat())
    expect(started).to_have_text(re.compile(rf"(today|yesterday) {hour:02}:{at:%M:%S}"))


def test_a_change_arrives_without_reload_and_keeps_focus_and_open_details(
    page: Page, made: World, demo: Demo
) -> None:
    job = made.job("arriving")
    look(page, "/")
    row = page.locator(f"#job-{job.id}")
    expect(row).to_contain_text("has not run yet")
    page.evaluate("window.notReloaded = true")
    link = row.locator("a.name")
    link.focus()
    run = made.run(job, datetime.now(UTC), trigger=MANUAL, seconds=1)
    expect(row.locator(".c-latest")).to_contain_text("Running")
    expect(page.locator(f"#now-run-{run}")).to_be_visible()
    made.end_attempt(run, SUCCEEDED, datetime.now(UTC))
    expect(row.locator(".c-latest")).to_contain_text("Succeeded")
    expect(page.locator(f"#now-run-{run}")).to_have_count(0)
    expect(link).to_be_focused()
    assert page.evaluate("window.notReloaded")

    look(page, "/deliveries")
    fold = page.locator("details").filter(has_text="d-docs")
    fold.locator("summary").click()
    made.delivery("arrived-meanwhile", datetime.now(UTC), sentence="Nothing tracks this repository.")
    expect(page.get_by_text("Nothing tracks this repository.")).to_be_visible()
    expect(fold).to_have_attribute("open", "")


def test_keyboard(page: Page, demo: Demo) -> None:
    look(page, "/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    first = page.locator("[data-row] a.name").first
    expect(first).to_be_focused()
    assert first.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    where = first.get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{where}")
    page.locator("html[data-ready]").wait_for()
    page.keyboard.press("r")
    page.wait_for_url("**/run")
    page.locator("html[data-ready]").wait_for()
    page.keyboard.type("go")  # typing is not pressing g, o
    expect(page.get_by_role("textbox", name="Command")).to_have_value("go")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url("**/")
    page.locator("html[data-ready]").wait_for()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("run with overrides")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("embeddings-")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=embeddings-")


def test_run_with_changes_from_form_to_run(page: Page, made: World, demo: Demo) -> None:
    look(page, f"/runs/{demo.failed_run}")
    page.get_by_role("link", name="Run with overrides…").click()
    expect(page.get_by_role("textbox", name="Variables")).to_have_value("BATCH=127")
    page.get_by_role("textbox", name="Command").fill("python embed.py --dry")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("section", has_text="What it would run with")).to_contain_text(
        "python embed.py --dry"
    )
    page.get_by_role("button", name="Run embeddings now").click()
    expect(page.locator(".why")).to_contain_text("Started manually by admin")
    page.get_by_role("button", name="Cancel this run").click()
    expect(page.locator("h1")).to_contain_text("Cancelled")


def test_theme_is_remembered(page: Page) -> None:
    look(page, "/")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_label("Your menu").click()
    page.get_by_role("button", name="Theme").click()
    dark = page.evaluate(ground)
    assert dark != light
    look(page, "/settings")
    assert page.evaluate(ground) == dark


def test_a_new_token_can_be_copied_and_is_gone_after(page: Page, demo: Demo) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    look(page, "/settings")
    page.get_by_label("Name").fill("from the browser")
    page.get_by_role("button", name="Create token").click()
    note = page.locator(".made")
    token = note.locator("code").inner_text()
    note.get_by_role("button", name="Copy").click()
    expect(note.get_by_role("button")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == token
    look(page, "/settings")
    assert token not in page.content()
    page.get_by_role("button", name="Revoke from the browser").click()
    expect(page.get_by_text("from the browser")).to_have_count(0)


NAUGHTY = (
    "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
    "\"' javascript:alert(1) \u202egnp.exe"
)


def test_hostile_text_does_nothing(page: Page, made: World) -> None:
    now = datetime.now(UTC)
    job = made.job("hostile", env={"V": NAUGHTY})
    raw = (
        NAUGHTY.encode() + b"\n\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m \xff\xfe\n" + b"x" * 100_000 + b"\n"
    )
    build = made.build(job, now, sha="b" * 40, message=NAUGHTY, log=raw, dockerfile=NAUGHTY)
    run = made.run(job, now, trigger=Trigger(TriggerType.MANUAL, by=NAUGHTY, cause=NAUGHTY), log=raw)
    made.delivery("hostile", now, repository=NAUGHTY, sha=NAUGHTY, sentence=NAUGHTY)
    for path in ("/", f"/runs/{run}", f"/builds/{build}", "/deliveries", "/projects/acme/jobs/hostile"):
        look(page, path)
        assert page.evaluate("window.hurt") is None
        assert page.locator("img").count() == 0
    look(page, f"/runs/{run}")
    with made.log_storage.write_attempt(run, 1, Redactor([])) as writer:
        writer.write(now, Stream.STDOUT, raw + b"the end\n")
        expect(page.locator("[data-log] .row").last.locator(".x")).to_have_text("the end")
    assert page.evaluate("window.hurt") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    made.end_attempt(run, SUCCEEDED, now + timedelta(seconds=1))


def test_every_page_fits_a_phone(browser: Browser, address: str, demo: Demo) -> None:
    page = visitor(browser, address, width=360, height=740)
    complaints = listen(page)
    for path in every_page(demo):
        look(page, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        cut = page.evaluate(
            "[...document.querySelectorAll('.card')].filter(e => e.scrollWidth > e.clientWidth).length"
        )
        assert cut == 0, f"something is cut off on {path}"
    assert complaints == []
    page.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_enough_contrast(browser: Browser, address: str, demo: Demo, theme: str) -> None:
    page = visitor(browser, address, theme=theme)
    for path in every_page(demo):
        look(page, path)
        assert page.evaluate(CONTRAST) == [], path
    page.context.close()


def test_nothing_moves_where_motion_is_unwanted(browser: Browser, address: str, demo: Demo) -> None:
    page = visitor(browser, address)
    look(page, "/")
    moving = "document.getAnimations().length"
    assert page.evaluate(moving) > 0
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == 0
    page.context.close()


def test_log_in_by_hand_and_out(browser: Browser, address: str, demo: Demo, tmp_path: Path) -> None:
    page = visitor(browser, address, logged_in=False)
    complaints = listen(page)
    page.goto("/deliveries")
    page.get_by_label("Name").fill("viewer-user")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Wrong name or password")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.keyboard.press("Enter")
    page.wait_for_url("**/deliveries")
    page.get_by_label("Your menu").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    assert complaints == []
    page.context.close()


def test_a_session_that_ended_leads_to_the_login(page: Page, made: World, demo: Demo) -> None:
    look(page, "/")
    page.context.clear_cookies()
    made.job("another")
    page.wait_for_url("**/login?next=%2F")
    with made.db.read() as tx:
        assert runs.with_id(tx, demo.running_run).status == "running"
