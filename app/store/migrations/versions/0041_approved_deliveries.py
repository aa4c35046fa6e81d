"""Who lets the commit of a fork be built"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    op.add_column("delivery", sa.Column("approved_by", sa.String(), nullable=True))
