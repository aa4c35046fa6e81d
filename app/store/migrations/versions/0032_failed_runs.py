"""Which runs of a job failed, and which of all did not succeed: what overviews and lists look for first"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0027"
FAILED, NOT_SUCCEEDED = sa.text("status = 'failed'"), sa.text("status IN ('failed', 'cancelled')")


def upgrade() -> None:
    for name, columns, where in (
        ("ix_run_failed_job_id_status_id", ["job_id", "status", "id"], FAILED),
        ("ix_run_not_succeeded_status_id", ["status", "id"], NOT_SUCCEEDED),
    ):
        op.create_index(name, "run", columns, sqlite_where=where, postgresql_where=where)
