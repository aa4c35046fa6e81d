"""A log in a real browser: followed, moved around in, searched, filtered, folded, as a person does it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from app.domain.redaction import Redactor
from app.domain.runs import Reason, Trigger, TriggerType
from app.logs import Stream
from tests.support.browser import CONTRAST, listen, look, serving, visitor
from tests.support.clock import Clock
from tests.support.seed import SUCCEEDED, World, failed, world
from tests.support.waiting import eventually

MANUAL = Trigger(TriggerType.MANUAL, by="ada", cause="Started manually by ada.")
MOST_ROWS = 1300  # on the page at once
AT_ONCE = 100  # rows that one frame puts there as somebody scrolls, and all a request asks for is 250
FIRST_IN_SIGHT = """log => {
  const top = log.getBoundingClientRect().top;
  const row = [...log.querySelectorAll(".row")].find((each) => each.getBoundingClientRect().bottom > top);
  return row && Number(row.querySelector(".n").textContent);
}"""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path / "world", Clock(at=None)) as each:
        yield each


def numbered(lines: int) -> bytes:
    return b"\n".join(b"line %d" % number for number in range(1, lines + 1))


def ended(made: World, log: bytes, **more: object) -> int:
    return made.run(
        made.job("talking", **more), datetime.now(UTC), trigger=MANUAL, log=log, outcome=SUCCEEDED
    )


def log_of(page: Page) -> Locator:
    return page.locator("[data-log]")


def shown_numbers(page: Page) -> list[int]:
    return [int(number) for number in log_of(page).locator(".n").all_inner_texts()]


# How many rows are put on the page at once: how long that takes is the machine's.
COUNT_ROWS = """window.largest = 0;
for (const name of ["append", "prepend"]) {
  const put = Element.prototype[name];
  Element.prototype[name] = function (part) {
    if (part?.childElementCount) window.largest = Math.max(window.largest, part.childElementCount);
    return put.apply(this, arguments);
  };
}"""


def wait_for_first_in_sight(page: Page, least: int, most: int) -> None:
    """Until the number of the first line in sight is between these."""
    log = log_of(page)
    eventually(lambda: least <= (log.evaluate(FIRST_IN_SIGHT) or 0) <= most)


def test_the_log_follows_until_the_reader_scrolls_then_counts(page: Page, made: World) -> None:
    job = made.job("talking")
    run = made.run(job, datetime.now(UTC), trigger=MANUAL, log=numbered(1500))
    page.set_viewport_size({"width": 1280, "height": 1200})
    look(page, f"/runs/{run}")
    log, rows = log_of(page), page.locator("[data-log] .row")
    expect(rows.last.locator(".x")).to_have_text("line 1500")
    expect(rows.last).to_be_in_viewport()
    with made.log_storage.write_attempt(run, 1, Redactor([])) as writer:
        writer.write(datetime.now(UTC), Stream.STDOUT, b"half a ")
        expect(rows.last.locator(".x")).to_have_text("half a ")
        writer.write(datetime.now(UTC), Stream.STDOUT, b"line\n")
        expect(rows.last.locator(".x")).to_have_text("half a line")
        expect(rows.last.locator(".n")).to_have_text("1501")
        expect(rows.last).to_be_in_viewport()

        log.evaluate("log => { log.scrollTop -= 600 }")
        expect(rows.last).not_to_be_in_viewport()
        seen = log.evaluate(FIRST_IN_SIGHT)
        writer.write(datetime.now(UTC), Stream.STDERR, b"ERROR: two\nthree\n")
        fresh = page.locator("[data-log-new]")
        expect(fresh).to_have_text("2 new lines")
        assert log.evaluate(FIRST_IN_SIGHT) == seen  # nothing jumped
        fresh.click()
        expect(fresh).to_be_hidden()
        expect(rows.last).to_be_in_viewport()
        expect(rows.last.locator(".x")).to_have_text("three")
        writer.end_streams()
    page.keyboard.press("e")
    expect(log.locator(".row.here .x")).to_have_text("ERROR: two")
    made.end_attempt(run, SUCCEEDED, datetime.now(UTC))
    expect(page.locator("h1")).to_contain_text("Succeeded")
    expect(log.locator(".row.here .x")).to_have_text("ERROR: two")


def test_a_new_attempt_takes_the_logs_place(page: Page, made: World) -> None:
    now = datetime.now(UTC)
    job = made.job("trying", retry_limit=2, retry_backoff="none")
    run = made.queue_run(job, now, MANUAL)
    made.attempt(run, now, b"first attempt")
    look(page, f"/runs/{run}")
    expect(page.locator("[data-log] .row .x")).to_have_text("first attempt")
    made.end_attempt(run, failed(Reason.EXIT_NONZERO, "Exited with code 1"), now)
    made.attempt(run, now, b"second attempt")
    expect(page.locator("[data-log] .row .x").first).to_have_text("second attempt")
    expect(page.locator(".lane rect[data-status]")).to_have_count(2)
    download = page.get_by_role("link", name="Download")
    expect(download).to_have_attribute("download", "trying-00001-2.log")
    page.get_by_role("navigation", name="Attempts").get_by_role("link", name="Attempt 1").click()
    expect(page.locator("[data-log] .row .x")).to_have_text("first attempt")


def test_scrolling_reaches_every_line_and_keeps_few_on_the_page(page: Page, made: World) -> None:
    run = ended(made, numbered(40_000))
    page.add_init_script(COUNT_ROWS)
    look(page, f"/runs/{run}")
    log = log_of(page)
    expect(log.locator(".row").last.locator(".x")).to_have_text("line 40000")
    for share, least, most in ((0.5, 19_000, 21_000), (0.1, 3_000, 5_000), (0.9, 35_000, 37_000)):
        log.evaluate("(log, share) => { log.scrollTop = log.scrollHeight * share }", share)
        wait_for_first_in_sight(page, least, most)
        assert len(shown_numbers(page)) < MOST_ROWS
    page.get_by_role("button", name="First").click()
    wait_for_first_in_sight(page, 1, 1)
    for step in range(1, 16):  # on and on by the wheel's length, over the edges of what is loaded
        log.evaluate("log => { log.scrollTop += 3000 }")
        wait_for_first_in_sight(page, step * 140, step * 160)
        numbers = shown_numbers(page)
        assert all(after == before + 1 for before, after in pairwise(numbers))
        assert len(numbers) < MOST_ROWS
    assert 0 < page.evaluate("window.largest") <= AT_ONCE
    log.focus()
    page.keyboard.press("End")
    wait_for_first_in_sight(page, 39_900, 40_000)
    expect(log.locator(".row").last.locator(".x")).to_have_text("line 40000")
    page.keyboard.press("Home")
    wait_for_first_in_sight(page, 1, 1)


def test_much_that_pours_in_is_shown_in_small_steps(page: Page, made: World) -> None:
    page.add_init_script(COUNT_ROWS)
    run = made.run(made.job("pouring"), datetime.now(UTC), trigger=MANUAL, log=b"first")
    look(page, f"/runs/{run}")
    rows = page.locator("[data-log] .row")
    expect(rows).to_have_count(1)
    with made.log_storage.write_attempt(run, 1, Redactor([])) as writer:
        for part in range(50):
            text = b"".join(b"%d of many\n" % (part * 1000 + number) for number in range(1000))
            writer.write(datetime.now(UTC), Stream.STDOUT, text)
        writer.end_streams()
    expect(rows.last.locator(".x")).to_have_text("49999 of many", timeout=30_000)
    expect(rows.last).to_be_in_viewport()
    numbers = shown_numbers(page)
    assert len(numbers) < MOST_ROWS
    assert all(after == before + 1 for before, after in pairwise(numbers))
    assert numbers[-1] == 50_001
    assert page.evaluate("window.largest") <= 500


def test_a_link_to_a_line_shows_and_marks_it(page: Page, made: World) -> None:
    run = ended(made, numbered(3000))
    offset = next(line.offset for line in made.log_storage.reader(run, 1).lines() if line.number == 700)
    look(page, f"/runs/{run}?attempt=1&at={offset}")
    marked = page.locator("[data-log] .row.here")
    expect(marked.locator(".x")).to_have_text("line 700")
    expect(marked).to_be_in_viewport()


def test_the_whole_log_is_searched_in_all_attempts(page: Page, made: World) -> None:
    now = datetime.now(UTC)
    run = made.queue_run(made.job("trying", retry_limit=1, retry_backoff="none"), now, MANUAL)
    first = numbered(5000).replace(b"line 17\n", b"line 17 NEEDLE\n").replace(b"line 4000\n", b"a needle\n")
    made.attempt(run, now, first)
    made.end_attempt(run, failed(Reason.EXIT_NONZERO, "Exited with code 1"), now)
    made.attempt(run, now, b"needle again")
    made.end_attempt(run, SUCCEEDED, now)
    look(page, f"/runs/{run}?attempt=1")
    here, count = page.locator("[data-log] .row.here .x"), page.locator("[data-find-count]")
    page.get_by_role("button", name="First").click()
    page.keyboard.press("f")
    page.keyboard.type("needle")
    expect(count).to_have_text("1 of 3")
    expect(here).to_have_text("line 17 NEEDLE")
    page.keyboard.press("Enter")
    expect(count).to_have_text("2 of 3")
    expect(here).to_have_text("a needle")
    page.get_by_role("button", name="Previous match").click()
    expect(here).to_have_text("line 17 NEEDLE")
    page.get_by_role(
        "button", name="Previous match"
    ).click()  # from the first to the last, of the next attempt
    page.wait_for_url("**/runs/*attempt=2*")
    expect(count).to_have_text("3 of 3")
    expect(here).to_have_text("needle again")
    assert page.evaluate("CSS.highlights.get('log-find').size") == 1
    page.get_by_label("Find in the whole log").fill("nowhere")
    expect(count).to_have_text("Nothing found")


def test_each_of_forty_errors_is_jumped_to(page: Page, made: World) -> None:
    lines = [b"line %d" % number for number in range(1, 20_001)]
    for position in range(250, 20_000, 500):
        lines[position] = b"\x1b[31mERROR\x1b[0m it broke"
    run = ended(made, b"\n".join(lines))
    look(page, f"/runs/{run}")
    page.get_by_role("button", name="First").click()
    wait_for_first_in_sight(page, 1, 1)
    here, count = page.locator("[data-log] .row.here .n"), page.locator("[data-error-count]")
    seen = []
    for number in range(1, 41):
        page.keyboard.press("e")
        expect(count).to_have_text(f"Error {number} of 40")
        expect(here).to_have_text(str(251 + (number - 1) * 500))
        seen.append(here.inner_text())
    assert len(set(seen)) == 40
    page.keyboard.press("E")
    expect(here).to_have_text(str(251 + 38 * 500))


def test_one_instance_and_stream_alone_and_kept_in_the_download(page: Page, made: World) -> None:
    job = made.job("several", instances=2)
    run = made.queue_run(job, datetime.now(UTC), MANUAL)
    made.attempt(run, datetime.now(UTC))
    with made.log_storage.write_attempt(run, 1, Redactor([])) as writer:
        for number in range(3000):
            writer.write(datetime.now(UTC), Stream.STDOUT, b"out %d\n" % number, number % 2)
            if number % 500 == 0:
                writer.write(datetime.now(UTC), Stream.STDERR, b"err %d\n" % number, 1)
    made.end_attempt(run, SUCCEEDED, datetime.now(UTC))
    look(page, f"/runs/{run}")
    page.get_by_label("Stream").select_option("stderr")
    page.wait_for_url("**stream=stderr**")
    page.locator("html[data-ready]").wait_for()
    texts = page.locator("[data-log] .row .x")
    expect(texts).to_have_text([f"err {number}" for number in range(0, 3000, 500)])
    page.get_by_label("Instance").select_option("0")
    page.wait_for_url("**instance=0**")
    expect(page.locator("[data-log-empty]")).to_have_text("No line here is of this instance and stream.")
    page.get_by_label("Stream").select_option("all")
    page.wait_for_url("**instance=0&stream=")
    page.locator("html[data-ready]").wait_for()
    expect(texts.last).to_have_text("out 2998")
    link = page.get_by_role("link", name="Download")
    expect(link).to_have_attribute("download", "several-00001-1-instance-0.log")
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "several-00001-1-instance-0.log"
    assert download.value.path().read_bytes().count(b"\n") == 1500


def test_groups_are_folded_and_open_where_one_looks(page: Page, made: World) -> None:
    inside = b"\n".join(b"inside %d" % number for number in range(2000))
    run = ended(made, b"before\n::group::Install\n" + inside + b"\n::endgroup::\nafter")
    look(page, f"/runs/{run}")
    page.get_by_role("button", name="First").click()
    rows, fold = page.locator("[data-log] .row"), page.locator("[data-fold]")
    expect(rows).to_have_count(3)
    expect(fold).to_have_text("Install")
    expect(page.locator(".fold-size")).to_have_text("2,000 lines")
    fold.click()
    expect(fold).to_have_attribute("aria-expanded", "true")
    expect(rows.nth(2).locator(".x")).to_have_text("inside 0")
    fold.press("Enter")
    expect(rows).to_have_count(3)
    page.keyboard.press("f")
    page.keyboard.type("inside 1999")
    expect(page.locator("[data-log] .row.here .x")).to_have_text("inside 1999")


def test_times_of_the_day_since_the_start_or_none(page: Page, made: World) -> None:
    run = ended(made, b"one\ntwo")
    look(page, f"/runs/{run}")
    button, times = page.get_by_role("button", name="Times"), page.locator("[data-log] .t")
    expect(times.first).to_contain_text(":")
    button.click()
    expect(times).to_have_text(["+0:00.000", "+0:30.000"])
    page.locator(".zone").click()
    expect(page.locator(".zone")).to_have_text("UTC")
    expect(times).to_have_text(["+0:00.000", "+0:30.000"])
    button.click()
    expect(times.first).to_be_hidden()
    look(page, f"/runs/{run}")
    expect(times.first).to_be_hidden()  # remembered
    button.click()
    expect(times.first).to_be_visible()
    page.keyboard.press("w")
    expect(page.get_by_role("button", name="Wrap")).to_have_attribute("aria-pressed", "true")


def test_its_buttons_act_once_where_the_page_looked_at_itself_before_the_log_was_loaded(
    page: Page, made: World
) -> None:
    run = ended(made, b"one\ntwo")
    held: dict[str, Route] = {}

    def hold(route: Route) -> None:
        kind = route.request.resource_type
        if kind in ("fetch", "script"):
            held[kind] = route
        else:
            route.continue_()

    page.route("**/static/log.js*", hold)
    page.route(f"**/runs/{run}", hold)
    with page.expect_request(lambda request: request.resource_type == "fetch" and "/runs/" in request.url):
        page.goto(f"/runs/{run}")
    page.evaluate("document.title = 'before'")
    held["fetch"].continue_()
    expect(page).not_to_have_title("before")
    held["script"].continue_()
    page.locator("html[data-ready]").wait_for()
    page.get_by_role("button", name="Times").click()
    expect(page.locator("[data-log] .t")).to_have_text(["+0:00.000", "+0:30.000"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_read_and_links_show_where_they_lead(
    browser: Browser, made: World, theme: str
) -> None:
    palette = b"\n".join(
        b"\x1b[38;5;%dmforeground\x1b[0m \x1b[48;5;%dmground\x1b[0m" % (n, n) for n in range(256)
    )
    both = b"\n".join(
        b"\x1b[%d;%dmboth\x1b[0m" % (front, ground) for front in (31, 37, 97) for ground in (41, 44, 107)
    )
    linked = (
        b"\x1b]8;;https://evil.example/\x1b\\https://bank.example/\x1b]8;;\x1b\\ https://example.com/docs"
    )
    run = ended(made, palette + b"\n" + both + b"\n!an error\n" + linked)
    with serving(made) as address:
        each = visitor(browser, address, theme=theme)
        complaints = listen(each)
        look(each, f"/runs/{run}")
        assert each.evaluate(CONTRAST) == []
        links = each.locator("[data-log] .x a")
        expect(links).to_have_count(2)
        expect(links.first).to_have_attribute("href", "https://evil.example/")
        expect(each.locator(".ansi-target")).to_have_text(" (https://evil.example/)")
        for link in links.all():
            assert set((link.get_attribute("rel") or "").split()) >= {"noopener", "noreferrer"}
        assert complaints == []
        each.context.close()


def test_without_a_script_the_log_is_read_page_by_page(browser: Browser, made: World) -> None:
    run = ended(made, numbered(600))
    with serving(made) as address:
        known = visitor(browser, address)
        plain = browser.new_context(base_url=address, java_script_enabled=False)
        plain.add_cookies(known.context.cookies())  # type: ignore[arg-type]
        page = plain.new_page()
        page.goto(f"/runs/{run}")
        seen = shown_numbers(page)
        while page.get_by_role("link", name="Earlier lines").count():
            page.get_by_role("link", name="Earlier lines").click()
            seen = [number for number in shown_numbers(page) if number < seen[0]] + seen
        assert seen == list(range(1, 601))
        page.get_by_role("link", name="Later lines").click()
        assert shown_numbers(page)[0] > 1
        plain.close()
        known.context.close()
