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


def upgrade(connection: Connection) -> None:
    """Bring the connected database to the newest revision, each revision in a transaction of its own."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["connection"] = connection
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    connection.rollback()
    if current is not None and current not in known:
        raise UserError(
            f"The database has revision {current}, which this version of Jobyard doesn't know: "
            "run the newer version again, or restore a backup made before it."
        )
    command.upgrade(config, "head")
