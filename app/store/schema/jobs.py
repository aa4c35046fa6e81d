"""Projects, the sources of builds, jobs, and what jobs share."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column as SaColumn
from sqlalchemy import ForeignKey as SaForeignKey
from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.domain.documents import Json
from app.domain.job.spec import BuildConfig, JobSpec, RunSpec
from app.domain.job.variables import EnvValue, SharedValue
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
from app.store.schema.specs import build_column, env_column, job_column, run_column, shared_env_column


class ProjectRow(SQLModel, table=True):
    __tablename__ = "project"
    __table_args__ = table_args()
    id: int = id_column()
    name: str = Field(unique=True)
    webhook_secret: str | None = text_column(null=True)
    limits: Json | None = json_column(null=True)  # those of its own, by their names
    hardening: Json | None = json_column(null=True)  # what all its runs are held to
    public: bool = False
    generic_webhook: Json | None = json_column(null=True)
    commit_statuses: str = "one"  # as `domain.commit_statuses.Statuses`
    created_at: datetime = time_column(null=False)


class CredentialRow(SQLModel, table=True):
    __tablename__ = "credential"
    __table_args__ = table_args(Index("uq_credential_project_id_name", "project_id", "name", unique=True))
    id: int = id_column()
    project_id: int = ref_column("project.id")
    name: str
    kind: str
    host: str = ""
    username: str = ""
    api_url: str = text_column()  # of the forge; empty is that of its host
    forge: str = ""  # empty where the host or the API's address tells
    secret: str = text_column()
    public_key: str | None = text_column(null=True)  # of a secret that is a private key
    host_keys: str = text_column()  # one a line: those that its ssh server has to have
    host_keys_confirmed: bool = False  # by a person; else they were shown at the first connection
    created_at: datetime = time_column(null=False)


class GithubAppRow(SQLModel, table=True):
    """What a credential of kind github-app has besides: its private key is the credential's secret."""

    __tablename__ = "github_app"
    __table_args__ = table_args(Index("uq_github_app_credential_id", "credential_id", unique=True))
    id: int = id_column()
    project_id: int = ref_column("project.id")
    credential_id: int = ref_column("credential.id")
    app_id: int = Field(sa_column=SaColumn(BigInt, nullable=False))
    slug: str = ""  # as it is called in addresses at GitHub, once that is known
    webhook_secret: str | None = text_column(null=True)


class SourceRow(SQLModel, table=True):
    __tablename__ = "source"
    __table_args__ = table_args(Index("uq_source_project_id_name", "project_id", "name", unique=True))
    id: int = id_column()
    project_id: int = ref_column("project.id")
    name: str | None = None
    url: str = text_column()
    repo_key: str = Field(index=True)
    branch: str
    credential_id: int | None = ref_column("credential.id", null=True)
    webhook_secret: str | None = text_column(null=True)
    build: BuildConfig = build_column()
    ci_enabled: bool = True
    builds_in_flight: str = "all"
    config_file: bool = False
    created_at: datetime = time_column(null=False)


class JobRow(SQLModel, table=True):
    __tablename__ = "job"
    __table_args__ = table_args(
        partial("uq_job_project_id_name", "project_id", "name", unique=True, where="deleted_at IS NULL"),
    )
    id: int = id_column()
    project_id: int = ref_column("project.id")
    name: str
    source_id: int | None = ref_column("source.id", null=True, index=True)
    definition: JobSpec = job_column()
    ci_enabled: bool = True
    cd_enabled: bool = True
    run_on_image_change: str = "never"
    kind: str = "manual"
    schedule: Json | None = json_column(null=True)
    paused: bool = False
    deployed: Json | None = json_column(null=True)
    has_image: bool = False
    shared_env: dict[str, SharedValue] = shared_env_column()
    effective: RunSpec = run_column()
    plan: str = ""
    instances: int = 1
    next_fire_at: datetime | None = time_column(index=True)
    from_file: Json | None = json_column(null=True)  # what of it the repository's own file sets
    created_at: datetime = time_column(null=False)
    updated_at: datetime = time_column(null=False)
    deleted_at: datetime | None = time_column()


class SecretGroupRow(SQLModel, table=True):
    """Variables that several jobs share; a greater `priority` wins over a smaller."""

    __tablename__ = "secret_group"
    __table_args__ = table_args(Index("uq_secret_group_project_id_name", "project_id", "name", unique=True))
    id: int = id_column()
    project_id: int = ref_column("project.id")
    name: str
    priority: int = 0
    env: dict[str, EnvValue] = env_column()
    created_at: datetime = time_column(null=False)


class SecretGroupJobRow(SQLModel, table=True):
    """A job that a secret group is attached to."""

    __tablename__ = "secret_group_job"
    group_id: int = Field(
        sa_column=SaColumn(BigInt, SaForeignKey("secret_group.id", ondelete="CASCADE"), primary_key=True)
    )
    job_id: int = Field(
        sa_column=SaColumn(BigInt, SaForeignKey("job.id", ondelete="CASCADE"), primary_key=True, index=True)
    )


class JobDraftRow(SQLModel, table=True):
    """A new job that somebody is still filling in; `content` is all that was typed, sealed."""

    __tablename__ = "job_draft"
    __table_args__ = table_args()
    id: int = id_column()
    owner: str = Field(index=True)
    content: str = text_column()
    changed_at: datetime = time_column(null=False, index=True)
