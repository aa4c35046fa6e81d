"""Look-ups of a delivery by its guid alone, and of a job's decisions by their verdict"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_index("ix_delivery_guid", "delivery", ["guid"])
    op.create_index("ix_decision_job_id_verdict_id", "decision", ["job_id", "verdict", "id"])
