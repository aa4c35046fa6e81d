"""Migrations from 0019 on change no row of a table that grows, so that a server starts as soon with a million of them;
from 0028 on they index one beside the servers that write to it.

Each revision's statements are looked at as the database gets them. What those before take is in `app/README.md`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from app.store.database import Database
from app.store.migrate import SCRIPTS, revisions
from app.store.tables import revision
from tests.support.databases import Postgres

GROWING = (
    *("attempt", "audit", "build", "build_source", "container", "decision", "delivery", "deployment"),
    *("deployment_step", "flow_node", "flow_run", "movement", "promotion", "run"),
)
SINCE, ONLINE_SINCE = "0019", "0028"
MEASURED: dict[str, str] = {}  # revisions that may after all: why, and what they take with a million rows
TABLE = rf'(?:ONLY )?"?(?P<table>{"|".join(GROWING)})"?'
REWRITES = [
    rf"UPDATE {TABLE}\b",
    rf"DELETE FROM {TABLE}\b",
    r"INSERT INTO _alembic_tmp_(?P<table>\w+)",  # SQLite has a table made anew for what it can't alter
    rf"ALTER TABLE {TABLE} DROP COLUMN",  # which SQLite does by writing every row
    rf"ALTER TABLE {TABLE} ALTER COLUMN \w+ (?:SET DATA )?TYPE",
    rf"ALTER TABLE {TABLE} ALTER COLUMN \w+ SET NOT NULL",
    rf"ALTER TABLE {TABLE} ADD COLUMN (?!.*DEFAULT)[^,]*NOT NULL",
    rf"ALTER TABLE {TABLE} ADD CONSTRAINT",
]
INDEX = rf"CREATE (?:UNIQUE )?INDEX \w+ ON {TABLE} "  # which nobody can write to meanwhile
INDEX_OF_ALL = INDEX + r"(?!.* WHERE )"  # one of few rows is partial
ON_LINE = r"(?:CREATE (?:UNIQUE )?|DROP )INDEX CONCURRENTLY "
OF_ALEMBIC = r"SELECT |UPDATE alembic_version "


def rewriting(statement: str, *patterns: str) -> str | None:
    """The growing table whose every row the statement reads or writes, if there is one."""
    text = " ".join(statement.split())
    found = (re.search(pattern, text, re.IGNORECASE) for pattern in (*REWRITES, *patterns))
    return next((match["table"] for match in found if match and match["table"].lower() in GROWING), None)


def statements(url: str, since: str) -> dict[str, list[str]]:
    """What each revision from `since` on says to an empty database."""
    from alembic import command
    from alembic.config import Config

    db, said = Database(url), dict[str, list[str]]()
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with db._writing.connect() as connection:
        config.attributes["connection"] = connection
        for each in revisions():
            heard = said.setdefault(each, [])

            def listen(*seen: object, heard: list[str] = heard) -> None:
                heard.append(str(seen[2]))

            sa.event.listen(connection, "before_cursor_execute", listen)
            command.upgrade(config, each)
            sa.event.remove(connection, "before_cursor_execute", listen)
    db.close()
    return {each: heard for each, heard in said.items() if each >= since}


def found_in(said: dict[str, list[str]], *patterns: str) -> set[tuple[str, str]]:
    """The revisions with a statement that the rules or `patterns` are about, and its table."""
    return {
        (revision, table)
        for revision, heard in said.items()
        for statement in heard
        if (table := rewriting(statement, *patterns)) and revision not in MEASURED
    }


def test_no_revision_rewrites_a_table_that_grows(make: Callable[..., str]) -> None:
    said = statements(make(empty=True), SINCE)
    assert (
        found_in({each: heard for each, heard in said.items() if each < ONLINE_SINCE}, INDEX_OF_ALL) == set()
    )
    assert found_in({each: heard for each, heard in said.items() if each >= ONLINE_SINCE}) == set()


def test_tables_that_grow_are_indexed_on_line(postgres: Postgres) -> None:
    """By `app.store.migrations.online.create_index`, and by a revision that does nothing else: it may be repeated."""
    said = statements(postgres.create("template0"), ONLINE_SINCE)
    assert found_in(said, INDEX) == set()
    for named, heard in said.items():
        if any(re.match(ON_LINE, each) for each in heard):
            assert [each for each in heard if not re.match(f"{ON_LINE}|{OF_ALEMBIC}", each)] == [], named


def test_the_rule_finds_what_earlier_revisions_did(make: Callable[..., str]) -> None:
    """So it is no rule that nothing breaks."""
    found = found_in(statements(make(empty=True), "0002"), INDEX_OF_ALL)
    assert {("0003", "delivery"), ("0004", "run"), ("0006", "build"), ("0008", "build")} <= found
    assert not {table for revision, table in found if revision in ("0010", "0011")}


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE run SET tries = 0", "run"),
        ('ALTER TABLE "decision" ADD COLUMN "why" TEXT NOT NULL', "decision"),
        ("ALTER TABLE decision ADD COLUMN why TEXT DEFAULT '' NOT NULL", None),
        ("ALTER TABLE run ADD COLUMN why TEXT", None),
        ("ALTER TABLE run ALTER COLUMN name TYPE TEXT", "run"),
        ("INSERT INTO _alembic_tmp_run (id) SELECT id FROM run", "run"),
        ("INSERT INTO _alembic_tmp_project (id) SELECT id FROM project", None),
        ("CREATE UNIQUE INDEX uq_run_name ON run (name)", "run"),
        ("CREATE INDEX ix_run_open ON run (job_id) WHERE status IN ('queued')", None),
        ("UPDATE project SET name = ''", None),
        ("UPDATE running SET name = ''", None),
    ],
)
def test_what_the_rule_says_of_a_statement(statement: str, table: str | None) -> None:
    assert rewriting(statement, INDEX_OF_ALL) == table


def test_a_partial_index_holds_up_who_writes_as_well() -> None:
    index = "INDEX {} ix_run_open ON run (job_id) WHERE status IN ('queued')"
    assert rewriting(f"CREATE {index.format('')}".replace("  ", " "), INDEX) == "run"
    assert rewriting(f"CREATE {index.format('CONCURRENTLY')}", INDEX) is None


def test_servers_that_start_at_once_migrate_once(make: Callable[..., str]) -> None:
    """Each of them works on the newest revision after that; nobody meets half of one."""
    url, gate, found = make(empty=True), threading.Barrier(3), list[str]()

    def start() -> None:
        db = Database(url)
        gate.wait()
        db.migrate()
        with db.read() as tx:
            found.append(revision(tx))
        db.close()

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [revisions()[-1]] * 3
