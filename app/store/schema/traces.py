"""What is told as spans of traces."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column as SaColumn
from sqlmodel import Field, SQLModel

from app.store.schema.columns import BigInt, id_column, table_args, time_column


class DueSpanRow(SQLModel, table=True):
    """Something is over, of which spans are told; gone once they were taken.

    `due_at` lies ahead while a server tells them.
    """

    __tablename__ = "due_span"
    __table_args__ = table_args()
    id: int = id_column()
    kind: str
    subject_id: int = Field(sa_column=SaColumn(BigInt, nullable=False))
    due_at: datetime = time_column(null=False, index=True)
