"""Migrations that end in the middle: the next server brings the database up to date all the same.

And those that make an index beside servers that write: nobody waits for them, and they wait for one another.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.store import migrate
from app.store.database import Database, StoreUnavailable
from app.store.migrate import TURN, revisions
from app.store.schema import metadata
from app.store.tables import revision
from tests.support.databases import Postgres, somebody_waits
from tests.support.killed_migration import killed
from tests.support.waiting import eventually

EVERY = 40  # of the statements that bring an empty database up to date
ON_LINE = """
from app.store.migrations.online import create_index
revision, down_revision = "9000", "{}"

def upgrade():
    create_index("ix_run_on_line", "run", ["job_id", "status"], where="status <> 'queued'")
"""
STATE = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_run_on_line')"
WRITE = "UPDATE run SET name = name WHERE id = 0"


def test_a_server_that_is_killed_while_it_migrates_is_followed_by_one_that_goes_on(
    make: Callable[..., str],
) -> None:
    url = make(empty=True)
    assert killed(url, EVERY) > len(revisions()) / EVERY
    db = Database(url)
    with db._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, metadata) == []
    with db.read() as tx:
        assert revision(tx) == revisions()[-1]
    db.close()


@pytest.fixture
def newer(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this version have one more revision, with an index of a table that grows; the databases are made before."""
    assert postgres
    scripts = tmp_path / "migrations"
    shutil.copytree(migrate.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions/9000_on_line.py").write_text(ON_LINE.format(revisions()[-1]))
    monkeypatch.setattr(migrate, "SCRIPTS", scripts)


@pytest.mark.usefixtures("newer")
def test_a_revision_makes_an_index_on_line(make: Callable[..., str]) -> None:
    db = Database(make())
    db.migrate()
    assert "ix_run_on_line" in {each["name"] for each in sa.inspect(db._engine).get_indexes("run")}
    with db.read() as tx:
        assert revision(tx) == "9000"
    db.close()


@contextmanager
def migrating(url: str) -> Iterator[list[StoreUnavailable]]:
    """Another server that migrates; yields what it fails with."""
    failed = list[StoreUnavailable]()

    def start() -> None:
        db = Database(url)
        try:
            db.migrate()
        except StoreUnavailable as error:
            failed.append(error)
        finally:
            db.close()

    thread = threading.Thread(target=start)
    thread.start()
    yield failed
    thread.join()


def said(db: Database, statement: str) -> object:
    with db.write() as tx:
        return tx.connection().exec_driver_sql(statement).scalar()


@pytest.mark.usefixtures("newer")
def test_an_index_that_was_left_half_made_is_made_again(postgres: Postgres) -> None:
    """And whoever writes meanwhile does not wait for it."""
    url = postgres.create("migrated")
    db, writer = Database(url), sa.create_engine(url.replace("postgresql", "postgresql+psycopg"))
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY %%'"
    with writer.connect() as writing:
        writing.exec_driver_sql(WRITE)  # whose end the index waits for
        with migrating(url) as failed:
            eventually(lambda: somebody_waits(db))
            with db.write() as tx:
                tx.connection().exec_driver_sql("SET LOCAL lock_timeout = '10s'")
                tx.connection().exec_driver_sql(WRITE)
            assert said(db, ending) is True
        assert len(failed) == 1
    assert said(db, STATE) is False
    db.migrate()
    assert said(db, STATE) is True
    assert said(db, "SELECT version_num FROM alembic_version") == "9000"
    db.close()
    writer.dispose()


def test_servers_wait_for_the_one_that_migrates(postgres: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    """Outside of any statement, as an index that is made on line would wait for the end of that."""
    db = Database(postgres.create("template0"))
    with db._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
        other.exec_driver_sql(f"SELECT pg_advisory_lock({TURN})")
        with migrating(str(db._url.render_as_string(hide_password=False))) as failed:
            eventually(lambda: bool(caplog.messages))
            assert not somebody_waits(db)
            other.exec_driver_sql(f"SELECT pg_advisory_unlock({TURN})")
    assert failed == []
    assert caplog.messages == ["another server brings the database up to date: waiting until it is done"]
    with db.read() as tx:
        assert revision(tx) == revisions()[-1]
    db.close()
