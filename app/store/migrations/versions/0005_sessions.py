"""Sessions that were opened with an API token end with it"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("login", sa.Column("opened_with", sa.String()))
    # Of these, nobody knows whether a token opened them, and which.
    op.execute(sa.text("DELETE FROM login WHERE user_id IS NULL AND NOT once"))
