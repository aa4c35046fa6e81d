"""Keys of credentials for ssh, and of the servers they are for"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    op.add_column("credential", sa.Column("public_key", sa.Text(), nullable=True))
    op.add_column("credential", sa.Column("host_keys", sa.Text(), nullable=False, server_default=""))
    op.add_column(
        "credential",
        sa.Column("host_keys_confirmed", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
