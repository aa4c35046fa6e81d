"""Runs read their limits from their effective configuration; fewer and smaller indices, decisions by time"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
SAID_BY_EFFECTIVE = (
    "retry_limit",
    "retry_backoff",
    "time_limit_seconds",
    "grace_period_seconds",
    "instances",
)
REPLACED = {
    "build": ("owner",),
    "run": ("owner", "build_id", "job_id_status"),
    "decision": (
        "build_id",
        "run_id",
        "deployment_id",
        "job_id_id",
        "project_id_id",
        "job_id_verdict_id",
    ),
}


def upgrade() -> None:
    for column in SAID_BY_EFFECTIVE:
        op.drop_column("run", column)
    for table, indices in REPLACED.items():
        for columns in indices:
            op.drop_index(f"ix_{table}_{columns}", table)
    partial("ix_run_open_job_id", "run", ["job_id"], "status IN ('queued', 'running')")
    partial("ix_run_build_id", "run", ["build_id"], "build_id IS NOT NULL")
    op.create_index("ix_decision_at", "decision", ["at"])
    op.create_index("ix_decision_project_id_at", "decision", ["project_id", "at"])
    partial("ix_decision_job_id_verdict_at", "decision", ["job_id", "verdict", "at"], "verdict <> 'started'")
    for column in ("build_id", "run_id", "deployment_id"):
        partial(f"ix_decision_{column}_at", "decision", [column, "at"], f"{column} IS NOT NULL")


def partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
