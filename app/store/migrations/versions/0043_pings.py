"""Pings of webhooks, of which a project looks for its last one"""

from app.store.migrations.online import create_index

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    create_index("ix_delivery_ping_id", "delivery", ["id"], where="event = 'ping'")
