"""Alembic's entry: runs the migrations on the connection it is handed.

In the transaction that is open there, if one is; else each in one of its own.
"""

from alembic import context

from app.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=not connection.in_transaction(),
)
with context.begin_transaction():
    context.run_migrations()
