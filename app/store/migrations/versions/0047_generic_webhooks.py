"""Webhooks of projects for whatever sends JSON"""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    op.add_column("project", sa.Column("generic_webhook", sa.JSON(), nullable=True))
