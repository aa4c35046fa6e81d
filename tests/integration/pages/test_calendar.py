"""The calendar of the coming week: what is due when, in whose time, and what was missed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from app.commands.sessions import Client as Browser
from app.commands.sessions import open_session
from app.domain.decisions import EventType, Verdict
from app.domain.principals import Role
from app.store import decisions, projects
from app.web.principal import COOKIE
from tests.support.clock import Clock
from tests.support.one_of_each import user
from tests.support.seed import World, world
from tests.support.visiting import read, visitor

NOW = datetime(2026, 10, 21, 15, 30, tzinfo=UTC)  # a Wednesday; the clocks of Berlin go back on the 25th
DASH = "\N{EN DASH}"
WORK = f"09:00{DASH}17:55"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Clock(at=NOW)) as each:
        yield each


def scheduled(
    made: World, name: str, cron: str, zone: str = "UTC", *, active: bool = True, **more: Any
) -> int:
    schedule = {"cron": cron, "time_zone": zone, "active": active}
    return made.job(name, kind="cron", schedule=schedule, **more).id


def days(page: str) -> dict[str, list[str]]:
    """What is due on each day, as `HH:MM job`."""
    found = {}
    for label, column in re.findall(
        r'<section class="day" aria-label="(\w+) [^"]+">(.*?)</section>', page, re.S
    ):
        marks = re.findall(r"<time [^>]*>([\d:]+)</time>\s*<a [^>]*>([^<]+)</a>", column)
        found[label] = [f"{at} {job}" for at, job in marks]
    return found


def miss(made: World, job_id: int, at: datetime, sentence: str) -> None:
    with made.db.write() as tx:
        decisions.record(
            tx,
            at=at,
            event=(EventType.SCHEDULE, f"{job_id}:{at.isoformat()}"),
            project_id=projects.named(tx, "acme").id,
            job_id=job_id,
            verdict=Verdict.MISSED,
            rule="schedule",
            sentence=sentence,
        )


def test_each_job_stands_at_its_times_in_the_coming_week(made: World) -> None:
    scheduled(made, "nightly", "30 2 * * *", display_name="Nightly report")
    scheduled(made, "weekly", "0 18 * * 5")
    found = days(read(visitor(made), "/schedule"))
    assert list(found) == ["Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday"]
    assert found["Wednesday"] == []
    assert found["Friday"] == ["02:30 Nightly report", "18:00 weekly"]
    assert found["Tuesday"] == ["02:30 Nightly report"]


def test_it_is_in_the_readers_time_zone_whose_clock_change_is_marked(made: World) -> None:
    scheduled(made, "late", "30 23 * * *")
    scheduled(made, "twice", "30 2 * * *", "Europe/Berlin")
    client = visitor(made)
    client.cookies.set("jobyard_zone", "Europe/Berlin")
    page = read(client, "/schedule")
    assert 'data-zone-of="Europe/Berlin"' in page
    assert days(page)["Thursday"] == ["01:30 late", "02:30 twice"]
    assert days(page)["Monday"] == ["00:30 late", "02:30 twice"]
    assert page.count("Clocks go back by 1 h on this day.") == 2  # above the column, and in the list
    assert "02:30 comes twice on this day as clocks go back; runs the first time only" in page
    in_utc = read(client, "/schedule?zone=UTC")
    assert days(in_utc)["Wednesday"] == ["23:30 late"]
    assert "Clocks go" not in in_utc


@pytest.mark.parametrize("zone", ["Mars/Base", "../../etc/passwd", "", "x" * 500, "Europe/Berlin\x00"])
def test_a_zone_that_is_not_known_is_utc(made: World, zone: str) -> None:
    scheduled(made, "late", "30 23 * * *")
    client = visitor(made)
    client.cookies.set("jobyard_zone", "Nowhere/Land")
    page = client.get("/schedule", params={"zone": zone}).text
    assert 'data-zone-of="UTC"' in page
    assert days(page)["Wednesday"] == ["23:30 late"]


def test_what_is_due_often_is_a_band_with_its_words(made: World) -> None:
    scheduled(made, "poll", "*/5 9-17 * * 1-5")
    page = read(visitor(made), "/schedule")
    assert all(not each for each in days(page).values())
    assert "every 5 minutes from 09:00 to 17:59 on weekdays" in page
    cells = re.findall(rf"<td[^>]*>([\d:]*{DASH}[\d:]*)</td>", page)
    assert cells == [*[WORK] * 3, DASH, DASH, *[WORK] * 2]


def test_more_than_three_in_an_hour_are_counted_and_listed_on_demand(made: World) -> None:
    for number in range(5):
        scheduled(made, f"job-{number}", f"{number * 10} 6 * * 4")
    scheduled(made, "poll", "*/30 * * * *")
    client = visitor(made)
    page = read(client, "/schedule")
    assert days(page)["Thursday"] == ["06:00 job-0", "06:10 job-1", "06:20 job-2"]
    more = re.search(r'<a class="more" href="([^"]+)#hour">2\s+more', page)
    assert more is not None
    listed = read(client, more[1].replace("&amp;", "&"))
    card = re.search(r'id="hour".*?</section>', listed, re.S)
    assert card is not None
    assert "Thu 22 Oct, 06:00 to" in card[0]
    rows = re.findall(r"<b>([\d:]+)</b><span class=\"grow\"><a [^>]*>([^<]+)<", card[0])
    assert rows == [
        *(("06:00", "job-0"), ("06:00", "poll"), ("06:10", "job-1")),
        *(("06:20", "job-2"), ("06:30", "job-3"), ("06:30", "poll"), ("06:40", "job-4")),
    ]
    past = read(client, "/schedule?hour=2026-10-21T06:00%2B00:00")
    assert "Nothing is due in this hour any more." in past
    assert 'id="hour"' not in read(client, "/schedule?hour=soon")


def test_a_project_or_a_part_of_a_name_narrows_it_down(made: World) -> None:
    scheduled(made, "nightly", "30 2 * * *")
    scheduled(made, "weekly", "0 18 * * 5", project="beside")
    client = visitor(made)
    assert days(read(client, "/schedule?project=beside"))["Friday"] == ["18:00 weekly"]
    assert days(read(client, "/schedule?name=NIGHT"))["Friday"] == ["02:30 nightly"]
    assert "No job that is looked for has a schedule." in read(client, "/schedule?name=none")


def test_who_has_one_project_sees_that_one_alone(made: World) -> None:
    scheduled(made, "nightly", "30 2 * * *")
    job_id = scheduled(made, "weekly", "0 18 * * 5", project="beside")
    miss(made, 1, NOW, "One of acme passed.")
    with made.db.write() as tx:
        somebody = user(tx, made.context, "bea", Role.VIEWER, projects.named(tx, "beside").id)
        session = open_session(tx, NOW, made.context.desk.limits, Browser("192.0.2.1"), user_id=somebody.id)
    client = visitor(made, None)
    client.cookies.set(COOKIE, session)
    page = read(client, "/schedule")
    assert days(page)["Friday"] == ["18:00 weekly"]
    assert "acme" not in page
    assert job_id > 1


def test_what_starts_nothing_now_is_counted_and_not_drawn(made: World) -> None:
    scheduled(made, "paused", "30 2 * * *", paused=True)
    scheduled(made, "resting", "30 3 * * *", active=False)
    page = read(visitor(made), "/schedule")
    assert all(not each for each in days(page).values())
    assert re.search(
        r"2 jobs more have a schedule by\s+which nothing starts now: paused, or inactive\.", page
    )


def test_what_was_missed_in_the_last_week_is_told_in_the_words_that_were_stored(made: World) -> None:
    job_id = scheduled(made, "nightly", "30 2 * * *")
    page = read(visitor(made), "/schedule")
    assert "Nothing: each scheduled time was acted on." in page
    said = "The scheduled time 02:30 passed before the server could act."
    miss(made, job_id, NOW - timedelta(days=6), said)
    miss(made, job_id, NOW - timedelta(days=8), "That was long ago.")
    page = read(visitor(made), "/schedule")
    assert said in page
    assert "That was long ago." not in page


def test_without_any_schedule_it_says_how_one_is_made(made: World) -> None:
    made.job("manual")
    assert "No job has a schedule yet: choose" in read(visitor(made), "/schedule")


def test_a_thousand_jobs_take_few_statements_and_a_bounded_page(made: World) -> None:
    for number in range(1000):
        cron = f"{number % 60} {number % 24} * * *" if number % 3 else f"*/{2 + number % 20} * * * *"
        scheduled(made, f"job-{number}", cron)
    client = visitor(made)
    statements: list[str] = []

    def note(*args: Any) -> None:
        statements.append(args[2])

    event.listen(made.db._engine, "before_cursor_execute", note)
    page = read(client, "/schedule")
    event.remove(made.db._engine, "before_cursor_execute", note)
    assert len([each for each in statements if each.startswith("SELECT")]) <= 8
    assert page.count("<") / 2 < 5000  # elements
    assert len(re.findall(r"<tr data-row>", page)) == 50
    assert "284 jobs more: choose a project, or a name." in page
