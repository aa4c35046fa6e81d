"""A private PostgreSQL for the tests, and an empty database of either kind for each of them.

Migrating takes longer than most tests, so each process does it once a kind, and every test gets a copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from sqlalchemy import Engine, create_engine, event, text

from app.store.database import Changes, Database

_PORT = 5432  # only names the socket's file: nothing listens on the network
_SETTINGS = (
    "fsync=off synchronous_commit=off full_page_writes=off autovacuum=off listen_addresses=''"
    " max_connections=50"
)
_EMPTY = """
DO $$ DECLARE each record; BEGIN
  SET LOCAL lock_timeout = '10s';
  SET LOCAL session_replication_role = replica;  -- so that no order is needed
  FOR each IN SELECT relname AS name FROM pg_stat_user_tables WHERE relname <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %%I', each.name);
  END LOOP;
  FOR each IN SELECT sequencename AS name FROM pg_sequences LOOP
    PERFORM setval(each.name::regclass, 1, false);
  END LOOP;
END $$
"""


@dataclass
class Postgres:
    """A cluster on a Unix socket below `folder`; every database is a copy of a migrated template."""

    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _free: list[Database] = field(default_factory=list)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}&port={_PORT}"

    def create(self, template: str) -> str:
        """The URL of a new database."""
        name = f"test_{next(self._numbers)}"
        self._say(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    @contextmanager
    def lent(self) -> Iterator[Database]:
        """A database that is migrated and empty; then another test gets it, as copying one takes longer than a test."""
        if self._free:
            db = self._free.pop()
        else:
            db = Database(self.create("migrated"))
            _share_compiled(db, self._compiler)
        yield db
        with db.write() as tx:
            tx.connection().exec_driver_sql(_EMPTY)
        self._free.append(db)

    def close(self) -> None:
        while self._free:
            self._free.pop().close()

    @cached_property
    def _compiler(self) -> Engine:
        return _compiler(self.url("postgres").replace("postgresql", "postgresql+psycopg"))

    def _say(self, statement: str) -> None:
        with self._compiler.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(statement))
        self._compiler.dispose()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """PostgreSQL refuses to run as root, so root hands it to the user the package makes."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    folder = Path(mkdtemp(prefix="pg-"))
    as_user = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    if as_user:
        shutil.chown(folder, "postgres")
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), *arguments]
        done = subprocess.run(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"

    run(
        "initdb", "--pgdata", str(data), "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"
    )
    options = " ".join(f"-c {setting}" for setting in _SETTINGS.split())
    try:
        run(
            "pg_ctl", "start", "--wait", f"--pgdata={data}", f"--log={folder / 'log'}",
            f"--options=-k {folder} -p {_PORT} {options}",
        )  # fmt: skip
        cluster = Postgres(folder)
        yield cluster
        cluster.close()
    finally:
        run("pg_ctl", "stop", "--mode=immediate", f"--pgdata={data}")
        shutil.rmtree(folder)


@contextmanager
def migrated_postgres() -> Iterator[Postgres]:
    """With a template called `migrated`."""
    with running_postgres() as cluster:
        cluster._say('CREATE DATABASE "migrated" TEMPLATE "template0"')
        migrated(cluster.url("migrated")).close()
        yield cluster


def migrated(url: str) -> Database:
    db = Database(url)
    db.migrate()
    return db


@cache
def empty_sqlite() -> bytes:
    """The file of a database that is migrated and empty."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "jobyard.db"
        migrated(f"sqlite:///{file}").close()
        return file.read_bytes()


def quick_sqlite(file: Path, on_commit: Changes | None = None) -> Database:
    """Nothing in it outlives the machine, so nothing waits for the disk.

    All of a process share the statements that SQLAlchemy has compiled: compiling them takes longer than running them.
    """
    db = Database(f"sqlite:///{file}", on_commit)
    event.listen(db._engine, "connect", lambda each, _: each.execute("PRAGMA synchronous=OFF"))
    _share_compiled(db, _compiler("sqlite://"))
    return db


def _share_compiled(db: Database, compiler: Engine) -> None:
    """Give a database the dialect of another engine, which what that compiled belongs to."""
    for engine in (db._engine, db._writing):
        engine.dialect, engine._compiled_cache = compiler.dialect, compiler._compiled_cache
    db._engine.pool._dialect = compiler.dialect


@cache
def _compiler(url: str) -> Engine:
    engine = create_engine(url)
    with engine.connect():
        pass  # now the dialect knows what it speaks with
    engine.dispose()
    return engine


def somebody_waits(db: Database) -> bool:
    """Whether a transaction waits for another one's end; with SQLite none can even begin."""
    if db.is_sqlite:
        return True
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with db.read() as tx:
        return bool(tx.connection().exec_driver_sql(waiting).scalar_one())
