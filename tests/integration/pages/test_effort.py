"""The overview stays quick with a million runs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from sqlalchemy import event

from app.store import overview
from tests.support.demo_world import Demo
from tests.support.seed import SUCCEEDED, World
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


def test_a_bar_of_an_overview_is_small(made: World) -> None:
    """There are thousands: a hundred jobs with two dozen runs each."""
    job = made.job("strip")
    client = visitor(made)
    without = len(read(client, "/"))
    for number in range(overview.STRIP):
        made.run(job, NOW - timedelta(hours=30 - number), outcome=SUCCEEDED)
    assert (len(read(client, "/")) - without) / overview.STRIP < 300


def is_walk_by_key(statement: str) -> bool:
    """Newest first by primary key with a limit and no filter: reads as many rows as it returns."""
    return (
        bool(re.search(r"ORDER BY (build|delivery)\.id DESC\s+LIMIT", statement))
        and " WHERE " not in statement
    )


def test_overview_asks_at_most_one_query_for_each_job(made: World) -> None:
    counted = []
    for number in range(12):
        made.job(f"job-{number}")
    client = visitor(made)

    def note(*_: Any) -> None:
        counted.append(1)

    event.listen(made.db._engine, "before_cursor_execute", note)
    read(client, "/")
    first = len(counted)
    for number in range(12, 24):
        made.job(f"job-{number}")
    counted.clear()
    read(client, "/")
    event.remove(made.db._engine, "before_cursor_execute", note)
    assert len(counted) - first == 12
