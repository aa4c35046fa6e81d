"""Many rows in one statement on the driver's own cursor, for what comes by the thousand.

What SQLAlchemy does for a statement costs more there than what the database does. Values are still converted by the
columns' own types, so that such rows are like all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Dialect, Table, type_coerce
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.types import NullType
from sqlmodel import SQLModel

MOST_PARAMETERS = 16_000  # of one statement; SQLite takes 32,766, PostgreSQL 65,535
PLACEHOLDERS = {"qmark": "?", "pyformat": "%s"}


@dataclass(frozen=True)
class Copied:
    """Columns that are taken over from the row of `source` whose id is in the inserted column `by`."""

    source: Table
    by: str
    columns: tuple[str, ...]


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
        same: Mapping[str, object] | None = None,
        *,
        copied: Copied | None = None,
        ending: str = "",
    ) -> list[tuple[Any, ...]]:
        """Insert rows of values for these columns, and the values of `same` in each; what `ending` returns, if it does.

        `ending` follows the statement's values, such as `RETURNING id`.
        """
        same = same or {}
        rows = self._converted(table, columns, rows)
        shared = next(iter(self._converted(table, tuple(same), [tuple(same.values())])), ())
        returned: list[tuple[Any, ...]] = []
        size = MOST_PARAMETERS // (len(columns) + len(same))
        for start in range(0, len(rows), size):
            chunk = rows[start : start + size]
            if copied is None:
                values = [value for row in chunk for value in (*row, *shared)]
                statement = _values(self.dialect, table, (*columns, *same), len(chunk))
            else:
                values = [*shared, *(value for row in chunk for value in row)]
                statement = _joined(self.dialect, table, tuple(columns), tuple(same), copied, len(chunk))
            self.cursor.execute(f"{statement} {ending}", values)
            if ending:
                returned += self.cursor.fetchall()
        return returned

    def update(self, table: Table, ids: Sequence[int], values: Mapping[str, object]) -> None:
        """Set these values in all rows with such an id."""
        stored = next(iter(self._converted(table, tuple(values), [tuple(values.values())])))
        placeholder = PLACEHOLDERS[self.dialect.paramstyle]
        set_ = ", ".join(f"{name} = {placeholder}" for name in values)
        for start in range(0, len(ids), MOST_PARAMETERS):
            chunk = ids[start : start + MOST_PARAMETERS]
            among = ", ".join([placeholder] * len(chunk))
            statement = f"UPDATE {table.name} SET {set_} WHERE id IN ({among})"  # noqa: S608
            self.cursor.execute(statement, [*stored, *chunk])

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
                stored = {key: convert(value) for key, value in different.items()}
                by_column[position] = [stored[id(value)] for value in given]
        return list(zip(*by_column, strict=True))


def raw(column: Any) -> ColumnElement[Any]:
    """A column in a query, as the driver gives it: to be converted by `of_raw`, once for all rows that share it."""
    return type_coerce(column, NullType())


def of_raw(dialect: Dialect, column: Any, value: Any) -> Any:
    convert = column.type.dialect_impl(dialect).result_processor(dialect, None)
    return convert(value) if convert else value


def table_of(row: type[SQLModel]) -> Table:
    """The table that a model of the schema describes."""
    return row.metadata.tables[str(row.__tablename__)]


@cache
def _conversion(table: Table, name: str, dialect: Dialect) -> Callable[[Any], Any] | None:
    return table.columns[name].type.dialect_impl(dialect).bind_processor(dialect)


@cache
def _values(dialect: Dialect, table: Table, columns: tuple[str, ...], number: int) -> str:
    row = f"({', '.join([PLACEHOLDERS[dialect.paramstyle]] * len(columns))})"
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {', '.join([row] * number)}"  # noqa: S608


@cache
def _joined(
    dialect: Dialect,
    table: Table,
    columns: tuple[str, ...],
    same: tuple[str, ...],
    copied: Copied,
    number: int,
) -> str:
    placeholder = PLACEHOLDERS[dialect.paramstyle]
    given = [f"given.column{position + 1}" for position in range(len(columns))]
    source = copied.source.name
    taken = [*given, *(_typed(dialect, table, name) for name in same)]
    taken += [f"{source}.{name}" for name in copied.columns]
    row = f"({', '.join([placeholder] * len(columns))})"
    return (
        f"INSERT INTO {table.name} ({', '.join((*columns, *same, *copied.columns))})"  # noqa: S608
        f" SELECT {', '.join(taken)} FROM (VALUES {', '.join([row] * number)}) AS given"
        f" JOIN {source} ON {source}.id = {given[columns.index(copied.by)]} WHERE true"
    )


def _typed(dialect: Dialect, table: Table, column: str) -> str:
    """PostgreSQL takes a value in a SELECT for text, and makes no JSON of text; SQLite knows no such types."""
    placeholder = PLACEHOLDERS[dialect.paramstyle]
    if dialect.name == "sqlite":
        return placeholder
    return f"CAST({placeholder} AS {table.columns[column].type.compile(dialect)})"
