"""Builds by the digest of their image: whose an image is, when a run resolves it"""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("ix_build_digest", "build", ["digest"])
