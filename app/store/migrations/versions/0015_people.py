"""Users have roles in projects, sessions say where they are from, and links lead to accounts"""

import sqlalchemy as sa
from alembic import op

from app.store.schema.columns import BigInt, UtcDateTime

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("user_account", sa.Column("email", sa.String()))
    op.add_column("user_account", sa.Column("disabled_at", UtcDateTime()))
    _grants()
    op.drop_column("user_account", "role")
    op.create_index("uq_user_account_email", "user_account", ["email"], unique=True)
    _sessions()
    _by_user("account_link", sa.Column("kind", sa.String(), nullable=False), of_nobody=True)
    _by_user("known_device", sa.Column("network", sa.String(), nullable=False), of_nobody=False)


def _grants() -> None:
    op.create_table(
        "user_grant",
        sa.Column("id", BigInt, autoincrement=True, nullable=False),
        sa.Column("user_id", BigInt, nullable=False),
        sa.Column("project_id", BigInt),
        sa.Column("role", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name="fk_user_grant_user_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name="fk_user_grant_project_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_user_grant"),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_user_grant_user_id_project_id", "user_grant", ["user_id", "project_id"], unique=True)
    op.execute(sa.text("INSERT INTO user_grant (user_id, role) SELECT id, role FROM user_account"))


def _sessions() -> None:
    """Of the sessions that a link opened nobody knows whose they are: links lead to accounts now."""
    op.execute(sa.text("DELETE FROM login WHERE once OR (user_id IS NULL AND opened_with IS NULL)"))
    op.drop_column("login", "once")
    op.drop_column("login", "expires_at")
    op.add_column("login", sa.Column("address", sa.String(), nullable=False, server_default=""))
    op.add_column("login", sa.Column("browser", sa.Text(), nullable=False, server_default=""))
    op.add_column("login", sa.Column("last_seen_at", UtcDateTime()))
    op.execute(sa.text("UPDATE login SET last_seen_at = created_at"))
    op.create_index("ix_login_user_id", "login", ["user_id"])


def _by_user(name: str, what: sa.Column[str], *, of_nobody: bool) -> None:
    times = ("created_at", "expires_at") if of_nobody else ("used_at",)
    op.create_table(
        name,
        sa.Column("hash", sa.String(), nullable=False),
        what,
        sa.Column("user_id", BigInt, nullable=of_nobody),
        *(sa.Column(each, UtcDateTime(), nullable=False) for each in times),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=f"fk_{name}_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hash", name=f"pk_{name}"),
    )
    op.create_index(f"ix_{name}_user_id", name, ["user_id"])
