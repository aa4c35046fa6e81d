"""Notification targets, what they may be told of, and what was sent to them"""

import sqlalchemy as sa
from alembic import op

from app.store.schema.columns import BigInt, UtcDateTime

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    op.create_table(
        "notification_target",
        sa.Column("id", BigInt, autoincrement=True, nullable=False),
        sa.Column("project_id", BigInt, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("jobs", sa.JSON(), nullable=False),
        sa.Column("absence_hours", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], "fk_notification_target_project_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_notification_target"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_notification_target_project_id_name", "notification_target", ["project_id", "name"], unique=True
    )
    op.create_table(
        "notice",
        sa.Column("id", BigInt, autoincrement=True, nullable=False),
        sa.Column("project_id", BigInt, nullable=False),
        sa.Column("job_id", BigInt, nullable=True),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("subject_id", BigInt, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], "fk_notice_project_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_notice"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "notification",
        sa.Column("id", BigInt, autoincrement=True, nullable=False),
        sa.Column("target_id", BigInt, nullable=False),
        sa.Column("job_id", BigInt, nullable=True),
        sa.Column("items", sa.JSON(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("is_test", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["target_id"], ["notification_target.id"], "fk_notification_target_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_notification"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notification_target_id_id", "notification", ["target_id", "id"])
    op.create_table(
        "job_standing",
        sa.Column("job_id", BigInt, autoincrement=False, nullable=False),
        sa.Column("project_id", BigInt, nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("succeeded_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], "fk_job_standing_job_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], "fk_job_standing_project_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_standing"),
    )
    op.create_index("ix_job_standing_project_id", "job_standing", ["project_id"])
    op.create_table(
        "absence",
        sa.Column("target_id", BigInt, nullable=False),
        sa.Column("job_id", BigInt, nullable=False),
        sa.Column("counted_from", UtcDateTime(), nullable=False),
        sa.Column("told_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["target_id"], ["notification_target.id"], "fk_absence_target_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], "fk_absence_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("target_id", "job_id", name="pk_absence"),
    )
    op.create_table(
        "alarm",
        sa.Column("id", BigInt, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("headline", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("began_at", UtcDateTime(), nullable=False),
        sa.Column("over_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alarm"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alarm_name", "alarm", ["name"])
    is_due = sa.text("due_at IS NOT NULL")
    op.create_index(
        "ix_notification_due_at", "notification", ["due_at"], sqlite_where=is_due, postgresql_where=is_due
    )
