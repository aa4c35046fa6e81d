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
        self, table: Table, rows: Sequence[Row], same: Row | None = None, *, ending: str = ""
    ) -> list[tuple[Any, ...]]:
        """Insert rows that all have the same keys, and the values of `same` in each; what `ending` returns, if it does.

        `ending` follows the statement's values, such as `RETURNING id`.
        """
        same = same or {}
        names = (*rows[0], *same)
        fixed = self._converted(table, [same])
        returned: list[tuple[Any, ...]] = []
        size = MOST_PARAMETERS // len(names)
        for start in range(0, len(rows), size):
            chunk = rows[start : start + size]
            values = [value for row in self._converted(table, chunk) for value in (*row, *fixed[0])]
            statement = _statement(table, names, len(chunk), PLACEHOLDERS[self.dialect.paramstyle])
            self.cursor.execute(f"{statement} {ending}", values)
            if ending:
                returned += self.cursor.fetchall()
        return returned

    def _converted(self, table: Table, rows: Sequence[Row]) -> list[list[Any]]:
        """The rows' values as the driver takes them; one that many rows share is converted once."""
        conversions = [(name, _conversion(table, name, self.dialect)) for name in rows[0]]
        known: dict[tuple[str, int], Any] = {}

        def converted(name: str, convert: Callable[[Any], Any], value: Any) -> Any:
            key = (name, id(value))
            if key not in known:
                known[key] = value if isinstance(value, Ready) else convert(value)
            return known[key]

        return [
            [converted(name, convert, row[name]) if convert else row[name] for name, convert in conversions]
            for row in rows
        ]


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
