"""Deliveries that Git has to be asked about are found among any number of others"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    where = sa.text("status = 'received'")
    op.create_index(
        "ix_delivery_waiting_asks_git_id",
        "delivery",
        ["status", "asks_git", "id"],
        sqlite_where=where,
        postgresql_where=where,
    )
