"""Users may be known by what an identity provider calls them"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("user_account", sa.Column("issuer", sa.String()))
    op.add_column("user_account", sa.Column("subject", sa.String()))
    op.create_index("uq_user_account_issuer_subject", "user_account", ["issuer", "subject"], unique=True)
