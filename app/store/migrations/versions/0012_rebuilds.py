"""Builds that make gone images again, the runs that wait for them, and since when a run meets an outage"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for table, column in (("build", "rebuild_of"), ("run", "awaited_build_id")):
        op.add_column(table, sa.Column(column, BIG, nullable=True))
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"ix_{table}_{column}", table, [column], sqlite_where=where, postgresql_where=where)
    op.add_column("run", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("run", sa.Column("unanswered_since", sa.DateTime(timezone=True), nullable=True))
