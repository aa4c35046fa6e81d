"""Limits of projects, and what a run takes of them; of runs that are over it doesn't matter"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
OPEN = ("queued", "running")


def upgrade() -> None:
    op.add_column("project", sa.Column("limits", sa.JSON(), nullable=True))
    for name in ("job", "run"):
        op.add_column(name, sa.Column("plan", sa.String(), nullable=False, server_default=""))
        op.add_column(name, sa.Column("instances", sa.Integer(), nullable=False, server_default="1"))
        table = sa.table(
            name,
            sa.column("id"),
            sa.column("status"),
            sa.column("plan"),
            sa.column("instances"),
            sa.column("effective", sa.JSON()),
        )
        rows = sa.select(table.c.id, table.c.effective)
        if name == "run":
            rows = rows.where(table.c.status.in_(OPEN))
        connection = op.get_bind()
        for id_, effective in connection.execute(rows).all():
            taken = {"plan": effective.get("plan", "small"), "instances": effective.get("instances", 1)}
            connection.execute(table.update().where(table.c.id == id_).values(**taken))
