"""Rows that somebody else may have made already."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Insert
from sqlalchemy.dialects import sqlite
from sqlmodel import SQLModel

from app.store.database import Tx


def insert_unless_there(tx: Tx, table: type[SQLModel], **values: Any) -> Insert:
    """An INSERT of one row that does nothing where one with its key is there, or is being made and then committed."""
    if tx.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table).values(**values).on_conflict_do_nothing()
    from sqlalchemy.dialects import postgresql  # 3 MB, of no use to most servers

    return postgresql.insert(table).values(**values).on_conflict_do_nothing()
