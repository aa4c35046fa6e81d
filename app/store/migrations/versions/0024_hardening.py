"""What all runs of a project are held to"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("project", sa.Column("hardening", sa.JSON(), nullable=True))
