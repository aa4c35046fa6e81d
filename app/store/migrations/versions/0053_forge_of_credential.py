"""Which kind of forge a credential is for, where neither its host nor its API's address tells"""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"


def upgrade() -> None:
    op.add_column("credential", sa.Column("forge", sa.String(), nullable=False, server_default=""))
