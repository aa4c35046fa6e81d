"""The database behind the store: connections, transactions, and word of what changed.

SQLite runs in WAL mode with `synchronous=FULL`; every writing transaction is `BEGIN IMMEDIATE` (a deferred one that
turns to writing late fails at once, whatever the busy timeout) and takes its turn in this process first. PostgreSQL
passes the same tests. `Tx` is what store functions take first; nothing outside the store looks inside it.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import PoolProxiedConnection, QueuePool
from sqlmodel import Session, create_engine, text

from app.disk import unavailable
from app.domain.errors import TransientError
from app.domain.external_secrets import SecretRules
from app.domain.quotas import Quotas
from app.store.bulk import Bulk
from app.store.counts import HAPPENED, Counts
from app.store.migrate import is_current, upgrade

Tx = Session
Changes = Callable[[frozenset[str]], None]
TOPICS = "topics"
QUOTAS, SECRET_RULES, TRACED, WRITES = "quotas", "secret_rules", "traced", "jobyard_writes"
NAMED = "named"  # rows that can't be read and that the log has named
STRIPS = "strips"  # of jobs, as `store.strips` remembers them
BUSY_TIMEOUT, INCREMENTAL = "busy_timeout=5000", 2
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    BUSY_TIMEOUT,
    "wal_autocheckpoint=16000",  # pages of 4 KiB: only if nobody calls `checkpoint`
)


FAULTS_OF_DISK = (
    "database or disk is full",
    "disk I/O error",
    "attempt to write a readonly database",
    "unable to open database file",
)  # as SQLite says them
BUSY_SECONDS = 5.0  # that a statement of SQLite's waits for others
LONG_LOG_BYTES = 16 * 2**20  # of SQLite's log: the file is cut to nothing beyond
KEPT_FREE_PAGES = 2000  # 8 MB stay in the file for what comes next
GIVEN_BACK_PAGES = 250  # in one step
SETTINGS = "JOBYARD_DATA, or JOBYARD_DATABASE_URL,"
READ_ONLY = FAULTS_OF_DISK[2]


class Recorder(Protocol):
    """Somebody who adds to each transaction that changes something what is to be remembered of it."""

    def begin(self, tx: Tx) -> None: ...

    def finish(self, tx: Tx) -> None:
        """All is done but the commit."""

    def committed(self) -> None: ...


_RECORDER: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


@contextmanager
def recorded_by(recorder: Recorder | None) -> Iterator[None]:
    """Let the recorder, or (None) nobody, be part of every transaction that this thread writes in the block."""
    before = _RECORDER.set(recorder)
    try:
        yield
    finally:
        _RECORDER.reset(before)


def recorder() -> Recorder | None:
    return _RECORDER.get()


class StoreUnavailable(TransientError):
    """The database does not answer, is locked by somebody else, or its disk is full."""


class Database:
    """One database. `on_commit` is told the topics (`runs`, `run:7`, …) that a committed transaction touched.

    `quotas` and `secret_rules` are what its transactions hold projects to; `is_traced` has them note what is told as
    spans.
    """

    def __init__(
        self,
        url: str,
        on_commit: Changes | None = None,
        quotas: Quotas | None = None,
        secret_rules: SecretRules | None = None,
        *,
        is_traced: bool = False,
    ) -> None:
        self._url = make_url(url)
        if self._url.drivername in ("postgres", "postgresql"):
            self._url = self._url.set(drivername="postgresql+psycopg")
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self._engine = _engine(self._url.render_as_string(hide_password=False), self.is_sqlite)
        self._writing = self._engine.execution_options(**{WRITES: True})
        self._driver = self._engine.dialect.loaded_dbapi
        self.IntegrityError: type[Exception] = self._driver.IntegrityError
        self.OperationalError: type[Exception] = self._driver.OperationalError
        self._turn = threading.Lock() if self.is_sqlite else None
        self._on_commit = on_commit
        self._info: dict[str, object] = {  # of each transaction
            NAMED: set(),
            STRIPS: OrderedDict(),
            QUOTAS: quotas or Quotas(),
            SECRET_RULES: secret_rules or SecretRules(),
            TRACED: is_traced,
        }
        self.counts = Counts()
        self._state: object = None  # that `has_changed` saw last
        self._watching: PoolProxiedConnection | None = None

    def __repr__(self) -> str:
        return f"Database({self._url.render_as_string(hide_password=True)})"

    def migrate(self) -> None:
        """Bring the schema to this version's. Raises UserError if a newer Jobyard has been here."""
        with self.as_ours(), self._writing.connect() as connection:
            upgrade(connection)

    def is_current(self) -> bool:
        """Return whether `migrate` would find nothing to do."""
        with self.as_ours(), self._engine.connect() as connection:
            return is_current(connection)

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A consistent view; keep it short, and never across a wait."""
        with self.as_ours(), self._session(self._engine) as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """Begin a transaction that is committed when the block ends without an exception, and else changes nothing."""
        recorder = _RECORDER.get()
        with self._own_turn(), self.as_ours(), self._session(self._writing) as tx:
            if recorder is not None:
                recorder.begin(tx)
            yield tx
            if recorder is not None:
                recorder.finish(tx)
            tx.commit()
        if recorder is not None:
            recorder.committed()
        self.counts.add(tx.info.get(HAPPENED, ()))
        topics = frozenset(tx.info.get(TOPICS, ()))
        if topics and self._on_commit is not None:
            self._on_commit(topics)

    def _session(self, engine: Engine) -> Session:
        return Session(engine, expire_on_commit=False, info=self._info)

    @contextmanager
    def statement(self, *topics: str) -> Iterator[Bulk]:
        """Yield a cursor for one statement, committed by itself and without a Session, which would cost more than it.

        `topics` as in `touch`. Raises IntegrityError of the driver's own, StoreUnavailable as `write` does.
        """
        with self._own_turn(), self.as_ours(self._driver.OperationalError):
            connection = self._engine.raw_connection()
            try:
                with closing(connection.cursor()) as cursor:
                    yield Bulk(cursor, self._engine.dialect)
                connection.commit()
            finally:
                connection.close()
        if topics and self._on_commit is not None:
            self._on_commit(frozenset(topics))

    def connection_apart(self) -> Any:
        """Return a connection of the driver's that is nobody else's: it is the caller's to close. Each statement
        commits by itself. Raises StoreUnavailable.
        """
        with self.as_ours():
            pooled = self._engine.raw_connection()
            apart: Any = pooled.driver_connection
            pooled.detach()
            apart.autocommit = True
            return apart

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
            return
        with self._turn:
            yield

    @contextmanager
    def as_ours(self, theirs: type[Exception] = OperationalError) -> Iterator[None]:
        """Raise StoreUnavailable where the driver, or what is above it, says that the database fails."""
        try:
            yield
        except theirs as error:
            cause = error.orig if isinstance(error, OperationalError) else error
            raise self._unavailable(" ".join(str(cause).split()).rstrip(".?")) from error
        except DatabaseError as error:
            if type(error) is not DatabaseError:  # its kinds are faults of a statement
                raise
            raise StoreUnavailable(
                f"The database can't be read: {error.orig}. Restore a backup, or see JOBYARD_DATA and "
                "JOBYARD_DATABASE_URL."
            ) from error

    def _unavailable(self, said: str) -> StoreUnavailable:
        if not self.is_sqlite or not self._url.database or said not in FAULTS_OF_DISK:
            return StoreUnavailable(f"The database did not answer: {said}. See JOBYARD_DATABASE_URL.")
        if said == READ_ONLY:
            self._engine.dispose()  # a connection that was opened so would stay so
        directory = Path(self._url.database).absolute().parent
        return StoreUnavailable(str(unavailable(directory, f"SQLite: {said}", SETTINGS)))

    def checkpoint(self) -> None:
        """Move what was committed from SQLite's log to its file: beside the commits, which would have to do it else."""
        if not self.is_sqlite:
            return
        with (
            self.as_ours(self._driver.OperationalError),
            closing(self._engine.raw_connection()) as connection,
        ):
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").close()

    def cut_log(self) -> None:
        """Make the file of SQLite's log short again, if it is long and nobody is reading or writing just now."""
        if not self.is_sqlite or not self._url.database:
            return
        log = Path(f"{self._url.database}-wal")
        if not log.exists() or log.stat().st_size < LONG_LOG_BYTES:
            return
        with (
            self._own_turn(),
            self.as_ours(self._driver.OperationalError),
            closing(self._engine.raw_connection()) as connection,
        ):
            cursor = connection.cursor()
            cursor.execute("PRAGMA busy_timeout=0")  # nobody waits for this
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute(f"PRAGMA {BUSY_TIMEOUT}")
            cursor.close()

    def give_back(self) -> bool:
        """Make SQLite's file shorter by some of its free pages; False if enough is done, or it can't be.

        Only files that were made with `auto_vacuum` can; others use their free pages again.
        """
        if not self.is_sqlite:
            return False
        with (
            self._own_turn(),
            self.as_ours(self._driver.OperationalError),
            closing(self._engine.raw_connection()) as connection,
        ):
            cursor = connection.cursor()
            kind, free = (
                cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("auto_vacuum", "freelist_count")
            )
            if kind != INCREMENTAL or free <= KEPT_FREE_PAGES:
                return False
            pages = min(GIVEN_BACK_PAGES, free - KEPT_FREE_PAGES)
            cursor.executescript(f"PRAGMA incremental_vacuum({pages})")  # `execute` gives back one page
        return True

    def check(self) -> None:
        """Raises StoreUnavailable unless a trivial query works."""
        with self.read() as tx:
            tx.connection().execute(text("SELECT 1"))

    def has_changed(self) -> bool:
        """Return whether anybody, in any process, has committed since the last call; True for the first one.

        For one thread, as often as it likes: nothing of the tables is read.
        """
        state = self._state_of_sqlite() if self.is_sqlite else self._state_of_postgresql()
        before, self._state = self._state, state
        return state != before

    def _state_of_sqlite(self) -> object:
        """Return a number that the commits of all other connections change, on a connection kept for that."""
        try:
            with self.as_ours(self._driver.OperationalError):
                if self._watching is None:
                    self._watching = self._engine.raw_connection()
                    self._state = None
                with closing(self._watching.cursor()) as cursor:
                    return cursor.execute("PRAGMA data_version").fetchone()
        except StoreUnavailable:
            self._close_watching()
            raise

    def _state_of_postgresql(self) -> object:
        """Return which transactions are visible, as PostgreSQL writes it."""
        with self.read() as tx:
            return tx.connection().execute(text("SELECT CAST(pg_current_snapshot() AS text)")).scalar_one()

    def _close_watching(self) -> None:
        if self._watching is not None:
            self._watching.invalidate()
            self._watching = None

    def close(self) -> None:
        self._close_watching()
        self._engine.dispose()


def bulk(tx: Tx) -> Bulk:
    """Return what inserts by the thousand are made with, as part of a transaction."""
    connection = tx.connection()
    return Bulk(connection.connection.cursor(), connection.dialect)


def is_writing(tx: Tx) -> bool:
    return bool(tx.connection().get_execution_options().get(WRITES))


def quotas_of(tx: Tx) -> Quotas:
    quotas: Quotas = tx.info[QUOTAS]
    return quotas


def secret_rules_of(tx: Tx) -> SecretRules:
    rules: SecretRules = tx.info[SECRET_RULES]
    return rules


def is_traced(tx: Tx) -> bool:
    return bool(tx.info[TRACED])


def touch(tx: Tx, *topics: str) -> None:
    """Say what this transaction changes; listeners hear it after the commit."""
    tx.info.setdefault(TOPICS, set()).update(topics)


def _engine(url: str, is_sqlite: bool) -> Engine:
    if not is_sqlite:
        return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20, hide_parameters=True)
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=20,
        max_overflow=40,
        pool_use_lifo=True,  # the last one used has the statements and pages at hand
        hide_parameters=True,  # so that no error carries what was stored
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # the driver must not begin by itself
    cursor = connection.cursor()  # type: ignore[attr-defined]
    if cursor.execute("PRAGMA page_count").fetchone()[0] == 0:  # it is made now; later this would be a write
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")  # what is free can be given back in steps
    for pragma in PRAGMAS:
        _set_patiently(cursor, pragma)
    cursor.close()


def _set_patiently(cursor: sqlite3.Cursor, pragma: str) -> None:
    """Of two that change the mode of a journal at once SQLite refuses one at once, without waiting."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute(f"PRAGMA {pragma}")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
