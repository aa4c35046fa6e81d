"""Statuses of commits at their forge, and where a credential's API is"""

import sqlalchemy as sa
from alembic import op

from app.store.schema.columns import BigInt, UtcDateTime

revision = "0042"
down_revision = "0041"
PARTIAL = (
    ("open", ["id"], "is_open"),
    ("due_at", ["due_at"], "due_at IS NOT NULL"),
    ("build_id", ["build_id"], "build_id IS NOT NULL"),
    ("run_id", ["run_id"], "run_id IS NOT NULL"),
    ("decision_id", ["decision_id"], "decision_id IS NOT NULL"),
    ("given_up", ["project_id", "id"], "is_given_up"),
)


def upgrade() -> None:
    op.add_column("credential", sa.Column("api_url", sa.Text(), nullable=False, server_default=""))
    op.add_column("project", sa.Column("commit_statuses", sa.String(), nullable=False, server_default="one"))
    _create_table()
    op.create_index(
        "uq_commit_status_project_id_sha_name_of_run",
        "commit_status",
        ["project_id", "sha", "name", "of_run"],
        unique=True,
    )
    op.create_index("ix_commit_status_changed_at", "commit_status", ["changed_at"])
    for name, columns, where in PARTIAL:
        condition = sa.text(where)
        op.create_index(
            f"ix_commit_status_{name}",
            "commit_status",
            columns,
            sqlite_where=condition,
            postgresql_where=condition,
        )


def _create_table() -> None:
    op.create_table(
        "commit_status",
        sa.Column("id", BigInt, autoincrement=True, nullable=False),
        sa.Column("project_id", BigInt, nullable=False),
        sa.Column("job_id", BigInt, nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("of_run", sa.Boolean(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("forge", sa.String(), nullable=False),
        sa.Column("sha", sa.String(), nullable=False),
        sa.Column("build_id", BigInt, nullable=True),
        sa.Column("run_id", BigInt, nullable=True),
        sa.Column("decision_id", BigInt, nullable=True),
        sa.Column("noted", sa.Text(), nullable=False),
        sa.Column("is_fresh", sa.Boolean(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("context", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("page", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("posted_version", sa.Integer(), nullable=False),
        sa.Column("posted_at", UtcDateTime(), nullable=True),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("in_hand", sa.Boolean(), nullable=False),
        sa.Column("once_more", sa.Boolean(), nullable=False),
        sa.Column("is_given_up", sa.Boolean(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("failing_since", UtcDateTime(), nullable=True),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_commit_status"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name="fk_commit_status_project_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
