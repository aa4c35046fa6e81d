"""When the image of a build was removed from the registry"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("build", sa.Column("image_removed_at", sa.DateTime(timezone=True), nullable=True))
