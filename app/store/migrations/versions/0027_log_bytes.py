"""What the logs of runs and builds take (of those that are over already it is not known), and which runs go on"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
WHERE = sa.text("log_bytes > 0")


def upgrade() -> None:
    for name in ("run", "build"):
        big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
        op.add_column(name, sa.Column("log_bytes", big, nullable=False, server_default="0"))
        op.create_index(
            f"ix_{name}_project_id_id_log_bytes",
            name,
            ["project_id", "id", "log_bytes"],
            sqlite_where=WHERE,
            postgresql_where=WHERE,
        )
    goes_on = sa.text("status = 'queued' AND active > 0")
    op.create_index(
        "ix_run_goes_on_status_project_id_available_at",
        "run",
        ["status", "project_id", "available_at"],
        sqlite_where=goes_on,
        postgresql_where=goes_on,
    )
