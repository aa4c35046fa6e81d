"""Entries of the audit log about a thing, which are looked for by its name"""

from app.store.migrations.online import create_index

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    create_index("ix_audit_about_name_id", "audit", ["about_name", "id"])
