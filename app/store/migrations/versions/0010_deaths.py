"""Since when a build meets an outage; at how many ends of a server builds, runs and deliveries were in hand"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("build", sa.Column("unanswered_since", sa.DateTime(timezone=True), nullable=True))
    for table in ("build", "run", "delivery"):
        op.add_column(table, sa.Column("deaths", sa.Integer(), nullable=False, server_default="0"))
