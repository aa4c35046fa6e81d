"""Looks at the branches of remotes, and which movements were found by them"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("movement", sa.Column("is_found", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "comparison",
        sa.Column("source_id", BIG, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("head", sa.String(), nullable=True),
        sa.Column("position", BIG, nullable=False),
        sa.Column("found", sa.String(), nullable=True),
        sa.Column("found_at", AT, nullable=True),
        sa.Column("looked_at", AT, nullable=False),
        sa.Column("compared_at", AT, nullable=True),
        sa.Column("due_at", AT, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"], ["source.id"], name="fk_comparison_source_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("source_id", name="pk_comparison"),
    )
