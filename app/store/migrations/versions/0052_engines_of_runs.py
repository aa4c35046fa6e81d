"""The engine that a run's attempt was begun on"""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"


def upgrade() -> None:
    op.add_column("run", sa.Column("engine", sa.String(), nullable=True))
