"""Alembic migrations, run by the server itself when it starts."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from app.domain.errors import UserError

SCRIPTS = Path(__file__).parent / "migrations"
TURN = 0x6A6F62_79617264  # "jobyard": what all its servers lock, and nothing else on that database


def upgrade(connection: Connection) -> None:
    """Bring the connected database to the newest revision: all of it or nothing, and one server at a time.

    On SQLite the transaction itself keeps others out (it is `BEGIN IMMEDIATE`); on PostgreSQL a lock does.
    Raises UserError if a newer version of Jobyard has been here.
    """
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["connection"] = connection
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({TURN})")
        _refuse_newer(connection, config)
        command.upgrade(config, "head")


def _refuse_newer(connection: Connection, config: Config) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise UserError(
            f"The database has revision {current}, which this version of Jobyard doesn't know: "
            "run the newer version again, or restore a backup made before it."
        )
