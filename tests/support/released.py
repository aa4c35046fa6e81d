"""The databases that earlier versions left, as `scripts/released-database` wrote them down."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg

from tests.support.project import TESTS

FOLDER = TESTS / "fixtures/databases"
KEY = "the key of every released database, in tests"
SECRET_VALUE = "a value that was sealed by that version"


def names() -> list[str]:
    """The versions and revisions there is a database of, oldest first."""
    return sorted({path.name.removesuffix(".sqlite.sql") for path in FOLDER.glob("*.sqlite.sql")})


def load(name: str, url: str) -> None:
    """Fill the empty database of that URL."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(Path(url.removeprefix("sqlite:///")))) as connection:
            connection.executescript((FOLDER / f"{name}.sqlite.sql").read_text())
    else:
        with psycopg.connect(url, autocommit=True) as there:
            there.execute((FOLDER / f"{name}.postgresql.sql").read_text())  # type: ignore[arg-type]
