"""What the image of a run was called before it was resolved; decisions by which nothing ran, by their times"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("run", sa.Column("reference", sa.Text(), nullable=True))
    nothing_ran = sa.text("verdict IN ('skipped', 'available', 'missed', 'duplicate')")
    op.create_index(
        "ix_decision_nothing_ran_at",
        "decision",
        ["at", "id"],
        sqlite_where=nothing_ran,
        postgresql_where=nothing_ran,
    )
