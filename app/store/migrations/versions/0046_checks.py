"""What a forge calls the status of a commit, where it may be changed there"""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    op.add_column("commit_status", sa.Column("posted_as", sa.String(), nullable=True))
