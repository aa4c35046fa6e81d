"""Being told: targets, what happened that they may be told of, and what was sent to them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column as SaColumn
from sqlalchemy import ForeignKey as SaForeignKey
from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.domain.documents import Json
from app.store.schema.columns import (
    BigInt,
    id_column,
    json_column,
    partial,
    ref_column,
    table_args,
    text_column,
    time_column,
)


class NotificationTargetRow(SQLModel, table=True):
    """Where a project's people are told. `address` is sealed; without `jobs` it is told of all of them."""

    __tablename__ = "notification_target"
    __table_args__ = table_args(
        Index("uq_notification_target_project_id_name", "project_id", "name", unique=True)
    )
    id: int = id_column()
    project_id: int = ref_column("project.id")
    name: str
    kind: str
    address: str = text_column()
    rules: list[str] = json_column()
    jobs: list[int] = json_column()
    absence_hours: int | None = None
    created_at: datetime = time_column(null=False)


class NoticeRow(SQLModel, table=True):
    """Something happened in a project that has a target; gone once it is looked at."""

    __tablename__ = "notice"
    __table_args__ = table_args()
    id: int = id_column()
    project_id: int = ref_column("project.id")
    job_id: int | None = Field(default=None, sa_column=SaColumn(BigInt))
    what: str
    subject_id: int = Field(sa_column=SaColumn(BigInt, nullable=False))


class NotificationRow(SQLModel, table=True):
    """One message to a target, of `count` items, not all of which are kept. `job_id` is a ping's.

    `due_at` is None for one that was sent or given up; while it is being sent it lies ahead.
    """

    __tablename__ = "notification"
    __table_args__ = table_args(
        Index("ix_notification_target_id_id", "target_id", "id"),
        partial("ix_notification_due_at", "due_at", where="due_at IS NOT NULL"),
    )
    id: int = id_column()
    target_id: int = ref_column("notification_target.id")
    job_id: int | None = Field(default=None, sa_column=SaColumn(BigInt))
    items: list[Json] = json_column()
    count: int
    is_test: bool = False
    created_at: datetime = time_column(null=False)
    due_at: datetime | None = time_column()
    tries: int = 0
    said: str = text_column()
    sent_at: datetime | None = time_column()


class JobStandingRow(SQLModel, table=True):
    """How the last run of a job ended that counts, and when one succeeded, as notices told it."""

    __tablename__ = "job_standing"
    job_id: int = Field(
        sa_column=SaColumn(BigInt, SaForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    )
    project_id: int = ref_column("project.id", index=True)
    status: str
    succeeded_at: datetime | None = time_column()


class AbsenceRow(SQLModel, table=True):
    """A job that a target watches for success, since `counted_from`; `told_at` is set while it is told to have none."""

    __tablename__ = "absence"
    target_id: int = Field(
        sa_column=SaColumn(
            BigInt, SaForeignKey("notification_target.id", ondelete="CASCADE"), primary_key=True
        )
    )
    job_id: int = Field(
        sa_column=SaColumn(BigInt, SaForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    )
    counted_from: datetime = time_column(null=False)
    told_at: datetime | None = time_column()


class AlarmRow(SQLModel, table=True):
    """Something is amiss with a server: `name` says with what of which. `over_at` is None while it is."""

    __tablename__ = "alarm"
    __table_args__ = table_args(Index("ix_alarm_name", "name"))
    id: int = id_column()
    name: str
    headline: str = text_column()
    sentence: str = text_column()
    began_at: datetime = time_column(null=False)
    over_at: datetime | None = time_column()
