"""Whether anybody may see how the jobs of a project are doing"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0032"


def upgrade() -> None:
    op.add_column("project", sa.Column("public", sa.Boolean(), nullable=False, server_default=sa.false()))
