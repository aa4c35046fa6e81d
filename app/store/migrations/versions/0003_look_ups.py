"""Look-ups of a delivery by its guid alone, and of a job's decisions by their verdict"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.drop_index("uq_delivery_forge_guid", "delivery")
    op.create_index("uq_delivery_guid_forge", "delivery", ["guid", "forge"], unique=True)
    op.create_index("ix_decision_job_id_verdict_id", "decision", ["job_id", "verdict", "id"])
