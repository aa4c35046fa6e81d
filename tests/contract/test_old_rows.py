"""Rows of an earlier release are what they were, after the revisions that came since.

`tests/fixtures/stores/0004.json` has those of an installation that the loops of revision 0004 worked on: project 1 with
its jobs `report`, `late` (made after the first pushes) and `nightly`, project 2 with `guest`, which tracks the same
repository. Pushes: `first` (nothing → A, of project 1 alone), `second` (A → B, also of `guest`), `deleted` (another
branch), `third` (B → C, whose builds are queued) and `fourth` (C → D, not taken yet).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from app.domain.builds import BuildStatus
from app.domain.job.records import Source
from app.domain.runs import RunStatus
from app.store import builds, decisions, deliveries, jobs, movements, overview, runs
from app.store.database import Database
from app.store.migrate import SCRIPTS
from tests.support.fakes import commit
from tests.support.project import TESTS

ROWS = TESTS / "fixtures/stores/0004.json"
KEY, MAIN = "github.com/acme/report", "refs/heads/main"
A, B, C, D = (commit(letter) for letter in "abcd")


@pytest.fixture
def db(make: Callable[..., str]) -> Iterator[Database]:
    """A database of revision 0004 with its rows, brought up to date by the server's own door."""
    db = Database(make(empty=True))
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with db._engine.connect() as connection:
        config.attributes["connection"] = connection
        with connection.begin():
            command.upgrade(config, "0004")
            _insert(connection, json.loads(ROWS.read_text()))
    db.migrate()
    yield db
    db.close()


def _insert(connection: sa.Connection, rows: dict[str, list[dict[str, Any]]]) -> None:
    metadata = sa.MetaData()
    metadata.reflect(connection)
    for table in metadata.sorted_tables:
        for row in rows.get(table.name, ()):
            values = {name: _value(table.c[name].type, value) for name, value in row.items()}
            connection.execute(table.insert().values(values))
        if connection.dialect.name == "postgresql" and "id" in table.c and rows.get(table.name):
            newest = sa.select(sa.func.max(table.c.id)).scalar_subquery()
            if isinstance(table.c["id"].type, sa.Integer):
                serial = sa.func.pg_get_serial_sequence(table.name, "id")
                connection.execute(sa.select(sa.func.setval(serial, newest)))


def _value(kind: sa.types.TypeEngine[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, dict):
        return base64.b64decode(value["base64"])
    if isinstance(kind, sa.JSON):
        return json.loads(value)
    if isinstance(kind, sa.DateTime):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    if isinstance(kind, sa.Boolean):
        return bool(value)
    return value


def _source(db: Database, project: str, name: str) -> Source:
    with db.read() as tx:
        source = jobs.named(tx, project, name).source
    assert source is not None
    return source


def test_each_project_keeps_the_order_of_the_branch(db: Database) -> None:
    """Also the one whose secret verified not all of it."""
    with db.read() as tx:
        for project in (
            _source(db, "reports", "report").project_id,
            _source(db, "other", "guest").project_id,
        ):
            known = movements.known(tx, project, KEY, MAIN)
            assert list(dict.fromkeys((each.before, each.after) for each in known)) == [
                (B, C),
                (A, B),
                (None, A),
            ]
            positions = [each.position for each in known]
            assert positions == sorted(positions, reverse=True)


@pytest.mark.parametrize(
    ("project", "job", "taken"),
    [
        ("reports", "report", [(B, C), (A, B), (None, A)]),
        ("reports", "late", [(B, C)]),  # it was not there before
        ("other", "guest", [(A, B)]),  # the others were verified by secrets that aren't its own
    ],
)
def test_a_source_has_taken_what_was_verified_for_it(
    db: Database, project: str, job: str, taken: list[tuple[str | None, str]]
) -> None:
    source = _source(db, project, job)
    with db.read() as tx:
        found = movements.taken(tx, source, MAIN)
    assert [(each.before, each.after) for each in found] == taken
    assert not any(each.is_found for each in found)


def test_a_delivery_that_waited_is_taken(db: Database) -> None:
    with db.write() as tx:
        ((waiting, lane),) = deliveries.next_waiting(tx, datetime.now(UTC), asks_git=False)
        assert lane
        taken = deliveries.claim(tx, waiting, "server")
    assert taken is not None
    assert (taken.guid, taken.tries, taken.crashes) == ("fourth", 1, 0)
    assert json.loads(taken.body)["after"] == D


def test_builds_and_runs_go_on(db: Database) -> None:
    with db.write() as tx:
        found = builds.page(tx, limit=99)
        queued = [each for each in found if each.status is BuildStatus.QUEUED]
        assert {each.sha for each in queued} == {C}
        assert all(each.on_branch for each in found)
        claimed = builds.claim(tx, "server", datetime.now(UTC))
        assert claimed is not None
        assert claimed.sha == C
        ended = runs.page(tx, limit=99)
    assert {each.status for each in ended} == {RunStatus.SUCCEEDED}
    assert {(each.reference, each.crashes, each.sha in (A, B)) for each in ended} == {(None, 0, True)}


def test_everything_is_still_listed(db: Database) -> None:
    rows = json.loads(ROWS.read_text())
    with db.read() as tx:
        assert len(decisions.page(tx, limit=1000)) == len(rows["decision"])
        assert len(deliveries.page(tx, 1000)) == len(rows["delivery"])
        skipped = overview.nothing_ran(tx, since=datetime(2020, 1, 1, tzinfo=UTC), limit=99)
        assert [each.rule for each in skipped if each.job == "report"] == ["other_branch"]
