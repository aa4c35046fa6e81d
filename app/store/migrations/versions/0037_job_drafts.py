"""New jobs that somebody is still filling in"""

import sqlalchemy as sa
from alembic import op

from app.store.schema.columns import BigInt, UtcDateTime

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    op.create_table(
        "job_draft",
        sa.Column("id", BigInt, autoincrement=True, nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_draft"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_draft_owner", "job_draft", ["owner"])
    op.create_index("ix_job_draft_changed_at", "job_draft", ["changed_at"])
