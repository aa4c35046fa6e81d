"""Scheduled times that were missed, which the calendar looks for"""

from app.store.migrations.online import create_index

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    create_index("ix_decision_missed_at", "decision", ["at", "id"], where="verdict = 'missed'")
