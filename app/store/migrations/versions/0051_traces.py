"""What is told as spans of traces, and the phases of builds"""

import sqlalchemy as sa
from alembic import op

from app.store.schema.columns import BigInt, UtcDateTime

revision = "0051"
down_revision = "0050"


def upgrade() -> None:
    op.create_table(
        "due_span",
        sa.Column("id", BigInt, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject_id", BigInt, nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_due_span"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_due_span_due_at", "due_span", ["due_at"])
    op.add_column("build", sa.Column("phases", sa.JSON(), nullable=True))
