"""Alembic migrations, run by the server itself when it starts."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from app.domain.errors import UserError

SCRIPTS = Path(__file__).parent / "migrations"
TURN = 0x6A6F62_79617264  # "jobyard": what all its servers lock, and nothing else on that database


def upgrade(connection: Connection) -> None:
    """Bring the connected database to the newest revision: all of it or nothing, and one server at a time.

    On SQLite the transaction itself keeps others out (it is `BEGIN IMMEDIATE`); on PostgreSQL a lock does.
    Raises UserError if a newer version of Jobyard has been here.
    """
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({TURN})")
        current, known = _current(connection), revisions()
        if current == known[-1]:
            return
        if current is not None and current not in known:
            raise UserError(
                f"The database has revision {current}, which this version of Jobyard doesn't know: "
                "run the newer version again, or restore a backup made before it."
            )
        _migrate(connection)


def revisions() -> list[str]:
    """Return the revisions that this version knows, oldest first, as the names of their files say."""
    return sorted(path.name.partition("_")[0] for path in SCRIPTS.glob("versions/[0-9]*.py"))


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
