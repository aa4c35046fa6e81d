"""The database as a whole: which tables there are, how many rows they have, and whether a file is in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, inspect, select, table, text

from app.domain.errors import UserError
from app.store.database import Tx


def names_of_tables(tx: Tx) -> Sequence[str]:
    return sorted(inspect(tx.connection()).get_table_names())


def revision(tx: Tx) -> str:
    """The revision that the database has, whether this version knows it or not."""
    return str(tx.connection().scalar(text("SELECT version_num FROM alembic_version")) or "")


def count_rows(tx: Tx, names: Sequence[str]) -> dict[str, int]:
    """How many rows each of the tables has at this moment."""
    counted = {name: select(func.count()).select_from(table(name)) for name in names}
    return {name: int(tx.connection().execute(query).scalar_one()) for name, query in counted.items()}


def check_sqlite(file: Path) -> None:
    """Raises UserError for a file that is no database, or whose pages don't fit together."""
    try:
        with closing(sqlite3.connect(file)) as connection:
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        raise UserError(f"The database in the backup is not in order: {' '.join(said.split())}.")
