"""Jobs that a file of their repository declares, and the build services whose repositories may"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    off = sa.false()
    op.add_column("source", sa.Column("config_file", sa.Boolean(), nullable=False, server_default=off))
    op.add_column("job", sa.Column("from_file", sa.JSON(), nullable=True))
