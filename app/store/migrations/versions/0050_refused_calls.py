"""How many calls about a repository had a wrong signature"""

import sqlalchemy as sa
from alembic import op

from app.store.schema.columns import BigInt, UtcDateTime

revision = "0050"
down_revision = "0049"


def upgrade() -> None:
    op.create_table(
        "refused_call",
        sa.Column("id", BigInt, autoincrement=True, nullable=False),
        sa.Column("project_id", BigInt, nullable=False),
        sa.Column("repo_key", sa.String(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refused_call"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name="fk_refused_call_project_id_project", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_refused_call_project_id_repo_key", "refused_call", ["project_id", "repo_key"], unique=True
    )
