"""Whether the commit of a build is on its branch, and what is newer than it: builds of before count as on it"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("build", sa.Column("on_branch", sa.Boolean(), nullable=True))
    op.add_column("build", sa.Column("contained_in", sa.JSON(), nullable=True))
    op.execute("UPDATE build SET on_branch = true")
