"""Which keys a server has, so that a rotation ends when all have the new one"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("server", sa.Column("keys", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("server", "keys")
