"""What the tables are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Index,
    Integer,
    Text,
    TypeDecorator,
)
from sqlalchemy import Column as SaColumn
from sqlalchemy import ForeignKey as SaForeignKey
from sqlmodel import Field, SQLModel

metadata = SQLModel.metadata
metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
BigInt = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in and out, also where the database has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time reached the store")
        at = value.astimezone(UTC)
        return at.replace(tzinfo=None) if dialect.name == "sqlite" else at

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy calls it so
    ) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def id_column() -> Any:
    return Field(default=None, sa_column=SaColumn(BigInt, primary_key=True, autoincrement=True))


def ref_column(target: str, *, null: bool = False, index: bool = False, outlives: bool = False) -> Any:
    """A row goes with what it refers to, unless it `outlives` that."""
    on_delete = "SET NULL" if outlives else "CASCADE"
    column = SaColumn(BigInt, SaForeignKey(target, ondelete=on_delete), nullable=null, index=index)
    return Field(default=None, sa_column=column)


def time_column(*, null: bool = True, index: bool = False) -> Any:
    return Field(default=None, sa_column=SaColumn(UtcDateTime, nullable=null, index=index))


def json_column(*, null: bool = False) -> Any:
    return Field(default=None, sa_column=SaColumn(JSON, nullable=null))


def text_column(*, null: bool = False) -> Any:
    return Field(default=None if null else "", sa_column=SaColumn(Text, nullable=null))


def partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of some rows: a query has to say `where` itself, unless it follows, as not null does from `=`.

    It is made by a migration. SQLAlchemy's own `postgresql_where` would import that dialect, 3 MB, into each server.
    """
    return Index(name, *columns, unique=unique, info={"where": where})


def table_args(*indexes: Index) -> tuple[Any, ...]:
    return (*indexes, {"sqlite_autoincrement": True})
