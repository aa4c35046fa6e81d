"""An audit log, to which rows are only added, and from which they are removed when they are old"""

import sqlalchemy as sa
from alembic import op

from app.store.schema.columns import BigInt, UtcDateTime

revision = "0018"
down_revision = "0017"
INDEXES = {
    "ix_audit_project_id_id": ["project_id", "id"],
    "ix_audit_who_id": ["who", "id"],
    "ix_audit_action_id": ["action", "id"],
    "ix_audit_at": ["at"],
}
REFUSAL = "an entry of the audit log can't be changed"


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", BigInt, autoincrement=True, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("who_kind", sa.String(), nullable=False),
        sa.Column("who_id", sa.Integer()),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("about_type", sa.String(), nullable=False),
        sa.Column("about_id", sa.Integer()),
        sa.Column("about_name", sa.String(), nullable=False),
        sa.Column("project_id", sa.Integer()),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    for name, columns in INDEXES.items():
        op.create_index(name, "audit", columns)
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            sa.text(
                "CREATE TRIGGER audit_stays_as_it_is BEFORE UPDATE ON audit "
                f"BEGIN SELECT RAISE(ABORT, '{REFUSAL.replace(chr(39), chr(39) * 2)}'); END"
            )
        )
    else:
        refusal = REFUSAL.replace("'", "''")
        op.execute(
            sa.text(
                "CREATE FUNCTION audit_stays_as_it_is() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE EXCEPTION '{refusal}'; END $$"
            )
        )
        op.execute(
            sa.text(
                "CREATE TRIGGER audit_stays_as_it_is BEFORE UPDATE ON audit "
                "FOR EACH ROW EXECUTE FUNCTION audit_stays_as_it_is()"
            )
        )
