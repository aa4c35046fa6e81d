"""When webhooks at forges are looked after, and which secret their forge knows"""

import sqlalchemy as sa
from alembic import op

from app.store.schema.columns import UtcDateTime

revision = "0049"
down_revision = "0048"


def upgrade() -> None:
    for name in ("secret_version", "told_version", "tries"):
        op.add_column("repository_hook", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("repository_hook", sa.Column("due_at", UtcDateTime(), nullable=True))
