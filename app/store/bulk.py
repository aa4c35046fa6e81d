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

MOST_PARAMETERS = 16_000  # of one statement; SQLite takes 32,766, PostgreSQL 65,535
PLACEHOLDERS = {"qmark": "?", "pyformat": "%s"}


class Ready(str):
    """A value as the database stores it already, such as the text of JSON."""

    __slots__ = ()


@dataclass(frozen=True)
class Bulk:
    """A cursor inside a transaction, and the dialect it speaks."""

    cursor: DBAPICursor
    dialect: Dialect

    def insert(
        self,
        table: Table,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        same: Mapping[str, Any] | None = None,
        *,
        ending: str = "",
    ) -> list[tuple[Any, ...]]:
        """Insert rows of values for these columns, and the values of `same` in each; what `ending` returns, if it does.

        `ending` follows the statement's values, such as `RETURNING id`.
        """
        same = same or {}
        names = (*columns, *same)
        rows = self._converted(table, columns, rows)
        shared = next(iter(self._converted(table, tuple(same), [tuple(same.values())])), ())
        returned: list[tuple[Any, ...]] = []
        size = MOST_PARAMETERS // len(names)
        for start in range(0, len(rows), size):
            chunk = rows[start : start + size]
            values = [value for row in chunk for value in (*row, *shared)]
            statement = _statement(table, names, len(chunk), PLACEHOLDERS[self.dialect.paramstyle])
            self.cursor.execute(f"{statement} {ending}", values)
            if ending:
                returned += self.cursor.fetchall()
        return returned

    def _converted(
        self, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> Sequence[Sequence[Any]]:
        """The rows' values as the driver takes them; one that many rows share is converted once."""
        by_column: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for position, name in enumerate(columns):
            convert = _conversion(table, name, self.dialect)
            if convert is not None:
                given = by_column[position]
                different = {id(value): value for value in given}
                stored = {
                    key: value if isinstance(value, Ready) else convert(value)
                    for key, value in different.items()
                }
                by_column[position] = [stored[id(value)] for value in given]
        return list(zip(*by_column, strict=True))


def table_of(row: type[SQLModel]) -> Table:
    """The table that a model of the schema describes."""
    return row.metadata.tables[str(row.__tablename__)]


@cache
def _conversion(table: Table, name: str, dialect: Dialect) -> Callable[[Any], Any] | None:
    return table.columns[name].type.dialect_impl(dialect).bind_processor(dialect)


@cache
def _statement(table: Table, names: tuple[str, ...], number: int, placeholder: str) -> str:
    row = f"({', '.join([placeholder] * len(names))})"
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join([row] * number)}"  # noqa: S608
