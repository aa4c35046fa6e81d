"""Many rows in one statement on the driver's own cursor, for the inserts that come by the thousand.

What SQLAlchemy does for a statement costs more there than what the database does. Values are still converted by the
columns' own types, so that such rows are like all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Dialect, Table
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlmodel import SQLModel

Row = Mapping[str, Any]
PLACEHOLDERS = {"qmark": "?", "pyformat": "%s", "format": "%s"}


@dataclass(frozen=True)
class Bulk:
    """A cursor inside a transaction, and the dialect it speaks."""

    cursor: DBAPICursor
    dialect: Dialect

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """All rows have the same keys."""
        names = tuple(rows[0])
        self.cursor.execute(
            _statement(table, names, len(rows), self.dialect), self._values(table, names, rows)
        )

    def insert_new(self, table: Table, rows: Sequence[Row], key: Sequence[str]) -> list[tuple[Any, ...]]:
        """The `key` columns of the rows that were not there yet; the others are left as they are."""
        names, columns = tuple(rows[0]), ", ".join(key)
        statement = _statement(table, names, len(rows), self.dialect)
        self.cursor.execute(
            f"{statement} ON CONFLICT ({columns}) DO NOTHING RETURNING {columns}",
            self._values(table, names, rows),
        )
        return [tuple(row) for row in self.cursor.fetchall()]

    def _values(self, table: Table, names: tuple[str, ...], rows: Sequence[Row]) -> list[Any]:
        converted = [(name, _conversion(table, name, self.dialect)) for name in names]
        return [convert(row[name]) if convert else row[name] for row in rows for name, convert in converted]


def table_of(row: type[SQLModel]) -> Table:
    """The table that a model of the schema describes."""
    return row.metadata.tables[str(row.__tablename__)]


@cache
def _conversion(table: Table, name: str, dialect: Dialect) -> Callable[[Any], Any] | None:
    return table.columns[name].type.dialect_impl(dialect).bind_processor(dialect)


@cache
def _statement(table: Table, names: tuple[str, ...], number: int, dialect: Dialect) -> str:
    row = f"({', '.join([PLACEHOLDERS[dialect.paramstyle]] * len(names))})"
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join([row] * number)}"  # noqa: S608
