"""The overview stays quick with a million runs."""

from __future__ import annotations

import gzip
import re
from datetime import timedelta
from typing import Any

from sqlalchemy import event

from app.domain.runs import Reason
from app.web.compression import LEVEL
from tests.support.client import Client
from tests.support.demo_world import Demo
from tests.support.seed import SUCCEEDED, World, failed
from tests.support.visiting import NOW, read, visitor


def test_overview_asks_the_store_only_through_indexes(made: World, demo: Demo) -> None:
    engine = made.db._engine
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            asked.append((statement, parameters))

    client = visitor(made)
    event.listen(engine, "before_cursor_execute", note)
    paths = [
        "/",
        "/deliveries",
        f"/runs/{demo.failed_run}",
        f"/builds/{demo.build}",
        "/projects/acme/jobs/embeddings",
        "/projects/acme/jobs/embeddings/decisions",
        "/search?q=embed",
    ]
    for path in paths:
        read(client, path)
    event.remove(engine, "before_cursor_execute", note)
    assert len(asked) > 30
    with engine.connect() as connection:
        for statement, parameters in set(asked):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            for step in (row[3] for row in plan):
                scans = re.match(r"SCAN (run|decision|build|attempt|delivery)\b", step)
                assert not scans or is_walk_by_key(statement), f"{step}\n{statement}"


def is_walk_by_key(statement: str) -> bool:
    """Newest first by primary key with a limit and no filter: reads as many rows as it returns."""
    return (
        bool(re.search(r"ORDER BY (build|delivery)\.id DESC\s+LIMIT", statement))
        and " WHERE " not in statement
    )


def statements(made: World, client: Client, path: str) -> list[str]:
    """What a page asks the database."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(made.db._engine, "before_cursor_execute", note)
    read(client, path)
    event.remove(made.db._engine, "before_cursor_execute", note)
    return asked


def fill(made: World, number: int) -> None:
    """So many jobs with two runs each, of which every third failed."""
    ends = (SUCCEEDED, SUCCEEDED, failed(Reason.EXIT_NONZERO, "Exited with code 1"))
    for each in range(number):
        job = made.job(f"job-{each:03}-{'x' * 50}", repository=f"acme/app-{each}")
        for hours in (9, 4):
            made.run(job, NOW - timedelta(hours=hours, minutes=each), outcome=ends[each % 3])


def test_overview_asks_as_much_of_a_hundred_jobs_as_of_one(made: World) -> None:
    client = visitor(made)
    fill(made, 1)
    few = len(statements(made, client, "/"))
    fill(made, 0)
    for each in range(100):
        made.job(f"another-{each}")
    cold, warm = len(statements(made, client, "/")), len(statements(made, client, "/"))
    assert cold == warm
    assert warm <= few + 1  # strips come for half a page at a time
    assert warm < 25


def test_overview_is_light_whatever_there_is(made: World) -> None:
    fill(made, 51)
    text = read(visitor(made), "/")
    assert text.count("<tr data-row") == 50
    assert len(re.findall(r"<[a-z]", text)) < 2500
    assert len(gzip.compress(text.encode(), LEVEL)) < 12_000


def test_a_page_that_is_known_is_not_sent_again(made: World, demo: Demo) -> None:
    client = visitor(made)
    first = client.get("/")
    again = client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    made.job("one-more")
    other = client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (other.status_code, other.headers["etag"] != first.headers["etag"]) == (200, True)
