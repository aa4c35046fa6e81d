"""Runs read their limits from their effective configuration; no index holds what is null, or is not looked for"""

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
MOSTLY_NULL = {"run": ("build_id",), "decision": ("build_id", "run_id", "deployment_id")}


def upgrade() -> None:
    for column in SAID_BY_EFFECTIVE:
        op.drop_column("run", column)
    for table in ("run", "build"):
        op.drop_index(f"ix_{table}_owner", table)
    for table, columns in MOSTLY_NULL.items():
        for column in columns:
            name, known = f"ix_{table}_{column}", sa.text(f"{column} IS NOT NULL")
            op.drop_index(name, table)
            op.create_index(name, table, [column], sqlite_where=known, postgresql_where=known)
