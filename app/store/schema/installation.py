"""This installation, its servers and its API tokens."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.domain.documents import Json
from app.store.schema.columns import (
    id_column,
    json_column,
    ref_column,
    table_args,
    text_column,
    time_column,
)


class ServerRow(SQLModel, table=True):
    """A running server; its claims are void when it is known dead.

    `keys` are the ids of the operator's key it has, and of the key that it seals with.
    """

    __tablename__ = "server"
    id: str = Field(primary_key=True)
    host: str
    pid: int
    started_at: datetime = time_column(null=False)
    heartbeat_at: datetime = time_column(null=False)
    keys: str = text_column()


class SettingRow(SQLModel, table=True):
    """Facts about this installation: its id, the key check, counters."""

    __tablename__ = "setting"
    name: str = Field(primary_key=True)
    value: str = text_column()


class TokenRow(SQLModel, table=True):
    """An API token; only its hash is kept. `scopes` are words; `project_id` limits it to one project."""

    __tablename__ = "token"
    __table_args__ = table_args(Index("uq_token_name", "name", unique=True))
    id: int = id_column()
    name: str
    hash: str = Field(unique=True)
    scopes: str = text_column()
    project_id: int | None = ref_column("project.id", null=True)
    created_at: datetime = time_column(null=False)
    expires_at: datetime | None = time_column()
    last_used_at: datetime | None = time_column()


class AnswerRow(SQLModel, table=True):
    """The first answer to a request with an idempotency key."""

    __tablename__ = "answer"
    principal: str = Field(primary_key=True)
    path: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: str = text_column()
    answer: Json = json_column()
    created_at: datetime = time_column(null=False, index=True)
