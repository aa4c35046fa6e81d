"""The database itself: revisions, transactions, times, what SQLite promises, and a disk that is full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, text

from app.domain.errors import UserError
from app.store import deliveries, projects, runs
from app.store.database import Database, StoreUnavailable
from app.store.inbox import Inbox
from app.store.migrate import SCRIPTS, revisions
from app.store.schema import metadata
from tests.support.databases import empty_sqlite, migrated
from tests.support.stored import NOW, add_job, add_run
from tests.support.stored_deliveries import delivery

FULL_DISK_BYTES = 2 * 1024 * 1024


def test_the_newest_revision_is_what_the_tables_say(make: Callable[..., str]) -> None:
    db = migrated(make(empty=True))
    with db._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, metadata) == []
    db.migrate()
    db.close()


def test_the_names_of_the_files_tell_the_revisions_in_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    scripts = ScriptDirectory.from_config(config)
    assert revisions() == [each.revision for each in scripts.walk_revisions()][::-1]
    assert scripts.get_heads() == [revisions()[-1]]


def test_a_database_of_a_newer_version_is_refused(make: Callable[..., str]) -> None:
    db = Database(make())
    with db.write() as tx:
        tx.connection().execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError, match=r"revision 9999, which this version of Jobyard doesn't know"):
        db.migrate()
    db.close()


def test_a_transaction_is_all_or_nothing_and_told_of_once(make: Callable[..., str]) -> None:
    told: list[frozenset[str]] = []
    db = Database(make(), told.append)

    def fail_late() -> None:
        with db.write() as tx:
            projects.create(tx, "lost", None, NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_late()
    with db.write() as tx:
        projects.create(tx, "kept", None, NOW)
    with db.read() as tx:
        assert [each.name for each in projects.page(tx, 9, None)] == ["kept"]
    assert told == [frozenset({"projects"})]
    db.close()


def test_times_are_aware_utc(db: Database) -> None:
    here = datetime.fromisoformat("2026-07-01T14:00:00.123456+02:00")
    with db.write() as tx:
        made = projects.create(tx, "reports", None, here)
    with db.read() as tx:
        found = projects.with_id(tx, made.id).created_at
    assert (found, found.tzinfo) == (here, UTC)
    with pytest.raises(Exception, match="naive"), db.write() as tx:
        projects.create(tx, "naive", None, here.replace(tzinfo=None))


def test_a_database_that_is_not_there_is_said(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path / 'missing' / 'x.db'}", f"postgresql://postgres@/x?host={tmp_path}"):
        db = Database(url)
        with pytest.raises(StoreUnavailable, match="JOBYARD_DATABASE_URL"):
            db.check()
        db.close()


# SQLite alone
@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "jobyard.db").write_bytes(empty_sqlite())
    db = Database(f"sqlite:///{tmp_path / 'jobyard.db'}")
    yield db
    db.close()


def test_sqlite_is_durable_and_checks_references(sqlite: Database) -> None:
    with sqlite.read() as tx:
        pragmas = {
            name: tx.connection().execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_every_writing_transaction_begins_as_one(sqlite: Database) -> None:
    said: list[str] = []
    event.listen(sqlite._engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    event.listen(sqlite._engine, "begin", lambda connection: said.append("a transaction"))
    job = add_job(sqlite)
    add_run(sqlite, job)
    with sqlite.read() as tx:
        runs.with_id(tx, 1)
    begun = ""
    for statement in said:
        verb = statement.split()[0]
        if statement.startswith("BEGIN"):
            begun = statement
        elif verb in ("INSERT", "UPDATE", "DELETE"):
            assert begun == "BEGIN IMMEDIATE"
    assert begun == "BEGIN"  # of the reader


def test_a_reader_sees_one_moment_and_stops_no_writer(sqlite: Database) -> None:
    with sqlite.read() as before:
        assert list(projects.page(before, 9, None)) == []
        with sqlite.write() as tx:
            projects.create(tx, "reports", None, NOW)
        assert list(projects.page(before, 9, None)) == []
    with sqlite.read() as after:
        assert len(projects.page(after, 9, None)) == 1


def fill(ballast: Path) -> None:
    """Write until the file system is full."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_disk_is_said_and_recovered_from(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "mounting a small file system needs root"
    disk = tmp_path / "disk"
    disk.mkdir()
    size = f"size={FULL_DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], check=True)
    try:
        (disk / "jobyard.db").write_bytes(empty_sqlite())
        db = Database(f"sqlite:///{disk / 'jobyard.db'}")
        deliveries.record(db, [delivery("first")])
        ballast = disk / "ballast"
        fill(ballast)
        inbox = Inbox(db)
        with pytest.raises(StoreUnavailable, match="full"):
            inbox.put_and_wait(delivery("second", bytes(100_000)))
        with db.read() as tx:
            assert [each.guid for each in deliveries.page(tx, 9)] == ["first"]
        ballast.unlink()
        assert inbox.put_and_wait(delivery("second", bytes(100_000)))
        inbox.close()
        db.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
