"""Users, what they were granted, and the browsers and links that they come in by."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.store.schema.columns import id_column, ref_column, table_args, text_column, time_column


class UserRow(SQLModel, table=True):
    """Somebody who may log in. `password_hash` is empty until an invitation was accepted.

    `issuer` and `subject` are what an identity provider calls them.
    """

    __tablename__ = "user_account"
    __table_args__ = table_args(
        Index("uq_user_account_email", "email", unique=True),
        Index("uq_user_account_issuer_subject", "issuer", "subject", unique=True),
    )
    id: int = id_column()
    name: str = Field(unique=True)
    email: str | None = None
    password_hash: str
    issuer: str | None = None
    subject: str | None = None
    created_at: datetime = time_column(null=False)
    disabled_at: datetime | None = time_column()


class GrantRow(SQLModel, table=True):
    """A user's role in a project, or (`project_id` NULL) in all; the store keeps one of each."""

    __tablename__ = "user_grant"
    __table_args__ = table_args(
        Index("uq_user_grant_user_id_project_id", "user_id", "project_id", unique=True)
    )
    id: int = id_column()
    user_id: int = ref_column("user_account.id")
    project_id: int | None = ref_column("project.id", null=True)
    role: str


class LoginRow(SQLModel, table=True):
    """A browser that is logged in; only the hash of the secret in its cookie is kept.

    `opened_with` is the hash of the API token that was given as password: the session is valid while that is.
    """

    __tablename__ = "login"
    hash: str = Field(primary_key=True)
    user_id: int | None = ref_column("user_account.id", null=True, index=True)
    opened_with: str | None = None
    address: str = ""
    browser: str = text_column()
    created_at: datetime = time_column(null=False)
    last_seen_at: datetime | None = time_column()


class AccountLinkRow(SQLModel, table=True):
    """A link that is of use once: it makes the first administrator, or lets a user choose a password."""

    __tablename__ = "account_link"
    hash: str = Field(primary_key=True)
    kind: str
    user_id: int | None = ref_column("user_account.id", null=True, index=True)
    created_at: datetime = time_column(null=False)
    expires_at: datetime = time_column(null=False)


class MailRow(SQLModel, table=True):
    """A mail with a link to an account; `link` is sealed. Without a user, `account` is what somebody says to be."""

    __tablename__ = "mail"
    __table_args__ = table_args()
    id: int = id_column()
    user_id: int | None = ref_column("user_account.id", null=True, index=True)
    account: str = text_column()
    link: str | None = text_column(null=True)
    created_at: datetime = time_column(null=False)
    due_at: datetime | None = time_column(index=True)
    tries: int = 0
    said: str = text_column()
    sent_at: datetime | None = time_column()


class KnownDeviceRow(SQLModel, table=True):
    """A browser that somebody logged in with, known by the hash of a cookie, and the network it was in then."""

    __tablename__ = "known_device"
    hash: str = Field(primary_key=True)
    user_id: int = ref_column("user_account.id", index=True)
    network: str
    used_at: datetime = time_column(null=False)
