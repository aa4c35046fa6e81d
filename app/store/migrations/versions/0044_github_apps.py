"""GitHub Apps, as what a project speaks with GitHub by"""

import sqlalchemy as sa
from alembic import op

from app.store.schema.columns import BigInt

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    op.create_table(
        "github_app",
        sa.Column("id", BigInt, autoincrement=True, nullable=False),
        sa.Column("project_id", BigInt, nullable=False),
        sa.Column("credential_id", BigInt, nullable=False),
        sa.Column("app_id", BigInt, nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("webhook_secret", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name="fk_github_app_project_id_project", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["credential_id"],
            ["credential.id"],
            name="fk_github_app_credential_id_credential",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_github_app"),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_github_app_credential_id", "github_app", ["credential_id"], unique=True)
