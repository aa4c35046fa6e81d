"""Tokens have scopes, and names of their own: of those that were named alike, the later ones get a number"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
SCOPES = {"viewer": "read", "operator": "read run deploy", "admin": "admin"}


def upgrade() -> None:
    op.add_column("token", sa.Column("scopes", sa.Text(), nullable=False, server_default=""))
    token = sa.table("token", sa.column("id"), sa.column("name"), sa.column("role"), sa.column("scopes"))
    connection = op.get_bind()
    for role, scopes in SCOPES.items():
        connection.execute(token.update().where(token.c.role == role).values(scopes=scopes))
    rows = connection.execute(sa.select(token.c.id, token.c.name).order_by(token.c.id)).all()
    taken: set[str] = {name for _, name in rows}
    kept: set[str] = set()
    for id_, name in rows:
        if name in kept:
            new = next(
                each for number in range(2, len(rows) + 2) if (each := f"{name}-{number}") not in taken
            )
            taken.add(new)
            connection.execute(token.update().where(token.c.id == id_).values(name=new))
        kept.add(name)
    op.drop_column("token", "role")
    op.create_index("uq_token_name", "token", ["name"], unique=True)
