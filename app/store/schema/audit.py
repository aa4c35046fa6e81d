"""The audit log: rows are added, and removed when they are old enough; a trigger refuses every change of one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import SQLModel

from app.domain.documents import Json
from app.store.schema.columns import id_column, json_column, table_args, text_column, time_column


class AuditRow(SQLModel, table=True):
    """Who did what, or was refused. It refers to nothing, as it outlives what it is about."""

    __tablename__ = "audit"
    __table_args__ = table_args(
        Index("ix_audit_project_id_id", "project_id", "id"),
        Index("ix_audit_who_id", "who", "id"),
        Index("ix_audit_action_id", "action", "id"),
        Index("ix_audit_at", "at"),
        Index("ix_audit_about_name_id", "about_name", "id"),
    )
    id: int = id_column()
    at: datetime = time_column(null=False)
    who: str
    who_kind: str
    who_id: int | None = None
    address: str = ""
    action: str
    about_type: str
    about_id: int | None = None
    about_name: str = ""
    project_id: int | None = None
    project: str = ""
    changes: Json = json_column()
    detail: str = text_column()
    times: int = 1
    request_id: str = ""
    outcome: str
