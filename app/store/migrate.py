"""Alembic migrations, run by the server itself when it starts."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import PendingRollbackError

from app.domain.errors import UserError

log = logging.getLogger(__name__)
SCRIPTS = Path(__file__).parent / "migrations"
TURN = 0x6A6F62_79617264  # "jobyard": what all its servers lock, and nothing else on that database
LOOK_SECONDS = 0.2


def upgrade(connection: Connection) -> None:
    """Bring the connected database to the newest revision, one server at a time.

    On SQLite that is one transaction, which keeps others out (it is `BEGIN IMMEDIATE`): all of it or nothing. On
    PostgreSQL each revision commits by itself, so that one may make an index beside servers that work (`online`);
    after a crash the next server goes on with the revision that was under way. Raises UserError if a newer version of
    Jobyard has been here.
    """
    if connection.dialect.name == "postgresql":
        _upgrade_in_steps(connection)
        return
    with connection.begin():
        if _is_behind(connection):
            _migrate(connection)


def _upgrade_in_steps(connection: Connection) -> None:
    with connection.begin():
        is_behind = _is_behind(connection)
    if not is_behind:
        return
    with _turn(connection):
        with connection.begin():
            is_behind = _is_behind(connection)
        if is_behind:
            _migrate(connection)


@contextmanager
def _turn(connection: Connection) -> Iterator[None]:
    """Keep other servers from changing this database, once they don't. The turn ends with the connection."""
    is_told = False
    # Nobody waits inside a statement: an index that is made on line waits for all who were there before it.
    while not _has_turn(connection):
        if not is_told:
            log.warning("another server brings the database up to date: waiting until it is done")
            is_told = True
        time.sleep(LOOK_SECONDS)
    try:
        yield
    except PendingRollbackError as error:
        raise _lost(error) from error
    finally:
        connection.invalidate()


def _lost(error: BaseException) -> BaseException:
    """Return what was wrong with the connection, where Alembic has stumbled upon that afterwards."""
    while isinstance(error, PendingRollbackError) and error.__context__ is not None:
        error = error.__context__
    return error


def _has_turn(connection: Connection) -> bool:
    with connection.begin():
        return bool(connection.scalar(text(f"SELECT pg_try_advisory_lock({TURN})")))


def is_current(connection: Connection) -> bool:
    """Return whether the connected database has the newest revision, so that there is nothing to bring it to."""
    with connection.begin():
        return _current(connection) == revisions()[-1]


def revisions() -> list[str]:
    """Return the revisions that this version knows, oldest first, as the names of their files say."""
    return sorted(path.name.partition("_")[0] for path in SCRIPTS.glob("versions/[0-9]*.py"))


def _is_behind(connection: Connection) -> bool:
    current, known = _current(connection), revisions()
    if current is not None and current not in known:
        raise UserError(
            f"The database has revision {current}, which this version of Jobyard doesn't know: "
            "run the newer version again, or restore a backup made before it."
        )
    return current != known[-1]


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _migrate(connection: Connection) -> None:
    # Here, as most starts find nothing to do, and Alembic brings 110 modules and 8 MB with it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
