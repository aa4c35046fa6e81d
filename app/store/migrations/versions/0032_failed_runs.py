"""Which runs of a job failed, and which of all did not succeed: what overviews and lists look for first"""

from app.store.migrations.online import create_index

revision = "0032"
down_revision = "0027"
FAILED, NOT_SUCCEEDED = "status = 'failed'", "status IN ('failed', 'cancelled')"


def upgrade() -> None:
    create_index("ix_run_failed_job_id_status_id", "run", ["job_id", "status", "id"], where=FAILED)
    create_index("ix_run_not_succeeded_status_id", "run", ["status", "id"], where=NOT_SUCCEEDED)
