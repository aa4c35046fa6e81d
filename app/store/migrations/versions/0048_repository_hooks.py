"""Webhooks that were made at forges, and the last look at them"""

import sqlalchemy as sa
from alembic import op

from app.store.schema.columns import BigInt, UtcDateTime

revision = "0048"
down_revision = "0047"


def upgrade() -> None:
    op.create_table(
        "repository_hook",
        sa.Column("id", BigInt, autoincrement=True, nullable=False),
        sa.Column("project_id", BigInt, nullable=False),
        sa.Column("repo_key", sa.String(), nullable=False),
        sa.Column("hook_id", sa.String(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("checked_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_repository_hook"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name="fk_repository_hook_project_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_repository_hook_project_id_repo_key", "repository_hook", ["project_id", "repo_key"], unique=True
    )
