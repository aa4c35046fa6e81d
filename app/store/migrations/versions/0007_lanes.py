"""Deliveries in lanes, movements of a branch by project and source, fair claims, pushes of unknown repositories"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("delivery", sa.Column("lane", sa.Text(), nullable=False, server_default=""))
    op.add_column("delivery", sa.Column("asks_git", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("delivery", sa.Column("owner", sa.String(), nullable=True))
    op.add_column("delivery", sa.Column("token", sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE delivery SET lane = repository WHERE status = 'received'")
    waiting = sa.text("status = 'received'")
    op.create_index(
        "ix_delivery_waiting_lane_id",
        "delivery",
        ["lane", "id"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.add_column("build", sa.Column("fetching", sa.Boolean(), nullable=False, server_default=sa.false()))
    for table in ("build", "run"):
        columns = ["status", "project_id", "available_at"]
        op.create_index(f"ix_{table}_status_project_id_available_at", table, columns)
    _make_unknown_repository()
    movement = _make_movement()
    rows = list(_rows(op.get_bind()))
    for start in range(0, len(rows), 1000):
        op.get_bind().execute(movement.insert(), rows[start : start + 1000])
    op.drop_table("push")


def _make_unknown_repository() -> None:
    op.create_table(
        "unknown_repository",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("project_id", BIG, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("last_at", AT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name="fk_unknown_repository_project_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_unknown_repository"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_unknown_repository_project_id_name", "unknown_repository", ["project_id", "name"], unique=True
    )


def _make_movement() -> sa.Table:
    table = op.create_table(
        "movement",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("project_id", BIG, nullable=False),
        sa.Column("source_id", BIG, nullable=True),
        sa.Column("repo_key", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("after", sa.String(), nullable=True),
        sa.Column("position", BIG, nullable=False),
        sa.Column("delivery_id", BIG, nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name="fk_movement_project_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["source_id"], ["source.id"], name="fk_movement_source_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["delivery.id"], name="fk_movement_delivery_id", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_movement"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_movement_delivery_id", "movement", ["delivery_id"])
    op.create_index("ix_movement_source_id_ref_position", "movement", ["source_id", "ref", "position"])
    op.create_index(
        "ix_movement_project_id_repo_key_ref_position",
        "movement",
        ["project_id", "repo_key", "ref", "position"],
    )
    return table


def _rows(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """Every project keeps the places it knew; a source has taken what its secret verified and was there for."""
    sources: dict[str, list[Any]] = {}
    for source in connection.execute(sa.text("SELECT id, project_id, repo_key, created_at FROM source")):
        sources.setdefault(source.repo_key, []).append(source)
    push = sa.table(
        "push", *map(sa.column, ("id", "repo_key", "ref", "before", "after", "position", "delivery_id"))
    )
    delivery = sa.table("delivery", sa.column("id"), sa.column("scopes", sa.JSON()), sa.column("received_at"))
    query = sa.select(push, delivery.c.scopes, delivery.c.received_at)
    query = query.outerjoin(delivery, delivery.c.id == push.c.delivery_id).order_by(push.c.id)
    for row in connection.execute(query):
        for source in sources.get(row.repo_key, ()):
            scopes = {f"project:{source.project_id}", f"source:{source.id}"}
            took = bool(scopes & set(row.scopes or ())) and source.created_at <= row.received_at
            yield {
                "project_id": source.project_id,
                "source_id": source.id if took else None,
                "repo_key": row.repo_key,
                "ref": row.ref,
                "before": row.before,
                "after": row.after,
                "position": row.position,
                "delivery_id": row.delivery_id,
            }
