"""What a revision does to a table that grows while other servers go on writing to it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

_IS_INVALID = sa.text(
    "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid)"
)


def create_index(
    name: str, table: str, columns: Sequence[str | sa.TextClause], *, unique: bool = False, where: str = ""
) -> None:
    """Create an index; on PostgreSQL without holding up who writes to the table, and outside of any transaction.

    What was interrupted there is repeated with the whole revision: an index that was left half made is made again, one
    that is whole is left alone. So a revision with this does nothing else.
    """
    condition = sa.text(where) if where else None
    context = op.get_context()
    if context.dialect.name != "postgresql":
        op.create_index(name, table, columns, unique=unique, sqlite_where=condition)
        return
    with context.autocommit_block():
        if op.get_bind().scalar(_IS_INVALID, {"name": name}):
            op.drop_index(name, table, postgresql_concurrently=True)
        op.create_index(
            name,
            table,
            columns,
            unique=unique,
            postgresql_where=condition,
            postgresql_concurrently=True,
            if_not_exists=True,
        )
