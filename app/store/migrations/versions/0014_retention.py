"""What refers to runs, builds and deployments is found when those are removed; decisions about nothing that stays"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

REFERENCES = (
    ("flow_node", "build_id"),
    ("flow_node", "run_id"),
    ("flow_node", "deployment_id"),
    ("promotion", "deployment_id"),
)
ALONE = "run_id IS NULL AND build_id IS NULL AND deployment_id IS NULL"


def upgrade() -> None:
    for table, column in REFERENCES:
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"ix_{table}_{column}", table, [column], sqlite_where=where, postgresql_where=where)
    where, columns = sa.text(ALONE), ["job_id", "id"]
    op.create_index(
        "ix_decision_alone_job_id_id", "decision", columns, sqlite_where=where, postgresql_where=where
    )
