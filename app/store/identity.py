"""Ids of rows before they are made, for what is stored in a row and has to name it."""

from __future__ import annotations

from sqlalchemy import func, select, text

from app.store.database import Tx


def reserved_id(tx: Tx, table: str) -> int:
    """The id for the next row of a table, to be made in this transaction. It was never another's, nor will be."""
    connection = tx.connection()
    if connection.dialect.name == "sqlite":  # one transaction writes at a time
        query = text("SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = :table")
        return int(connection.execute(query, {"table": table}).scalar_one())
    return int(
        connection.execute(select(func.nextval(func.pg_get_serial_sequence(table, "id")))).scalar_one()
    )
