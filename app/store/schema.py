"""The tables. Rows never leave the store: its functions take and return domain values.

Times are aware UTC; documents that are only ever read whole are JSON; what a query filters or sorts by is a column
with an index that a query plan test watches.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy import Column as SaColumn
from sqlalchemy import ForeignKey as SaForeignKey
from sqlmodel import Field, SQLModel

metadata = SQLModel.metadata
metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
BigInt = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in and out, also where the database has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time reached the store")
        at = value.astimezone(UTC)
        return at.replace(tzinfo=None) if dialect.name == "sqlite" else at

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy calls it so
    ) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _id() -> Any:
    return Field(default=None, sa_column=SaColumn(BigInt, primary_key=True, autoincrement=True))


def _ref(target: str, *, null: bool = False, index: bool = False, outlives: bool = False) -> Any:
    """A row goes with what it refers to, unless it `outlives` that."""
    on_delete = "SET NULL" if outlives else "CASCADE"
    column = SaColumn(BigInt, SaForeignKey(target, ondelete=on_delete), nullable=null, index=index)
    return Field(default=None, sa_column=column)


def _time(*, null: bool = True, index: bool = False) -> Any:
    return Field(default=None, sa_column=SaColumn(UtcDateTime, nullable=null, index=index))


def _json(*, null: bool = False) -> Any:
    return Field(default=None, sa_column=SaColumn(JSON, nullable=null))


def _text(*, null: bool = False) -> Any:
    return Field(default=None if null else "", sa_column=SaColumn(Text, nullable=null))


def _args(*indexes: Index) -> tuple[Any, ...]:
    return (*indexes, {"sqlite_autoincrement": True})


class ServerRow(SQLModel, table=True):
    """A running server; its claims are void when it is known dead."""

    __tablename__ = "server"
    id: str = Field(primary_key=True)
    host: str
    pid: int
    started_at: datetime = _time(null=False)
    heartbeat_at: datetime = _time(null=False)


class SettingRow(SQLModel, table=True):
    """Facts about this installation: its id, the key check, counters."""

    __tablename__ = "setting"
    name: str = Field(primary_key=True)
    value: str = _text()


class ProjectRow(SQLModel, table=True):
    __tablename__ = "project"
    __table_args__ = _args()
    id: int = _id()
    name: str = Field(unique=True)
    webhook_secret: str | None = _text(null=True)
    created_at: datetime = _time(null=False)


class CredentialRow(SQLModel, table=True):
    __tablename__ = "credential"
    __table_args__ = _args(Index("uq_credential_project_id_name", "project_id", "name", unique=True))
    id: int = _id()
    project_id: int = _ref("project.id")
    name: str
    kind: str
    host: str = ""
    username: str = ""
    secret: str = _text()
    created_at: datetime = _time(null=False)


class SourceRow(SQLModel, table=True):
    __tablename__ = "source"
    __table_args__ = _args(Index("uq_source_project_id_name", "project_id", "name", unique=True))
    id: int = _id()
    project_id: int = _ref("project.id")
    name: str | None = None
    url: str = _text()
    repo_key: str = Field(index=True)
    branch: str
    credential_id: int | None = _ref("credential.id", null=True)
    webhook_secret: str | None = _text(null=True)
    build: dict[str, Any] = _json()
    ci_enabled: bool = True
    builds_in_flight: str = "all"
    created_at: datetime = _time(null=False)


class JobRow(SQLModel, table=True):
    __tablename__ = "job"
    __table_args__ = _args(
        Index(
            "uq_job_project_id_name",
            "project_id",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )
    id: int = _id()
    project_id: int = _ref("project.id")
    name: str
    source_id: int | None = _ref("source.id", null=True, index=True)
    definition: dict[str, Any] = _json()
    ci_enabled: bool = True
    cd_enabled: bool = True
    run_on_image_change: str = "never"
    kind: str = "manual"
    schedule: dict[str, Any] | None = _json(null=True)
    paused: bool = False
    deployed: dict[str, Any] | None = _json(null=True)
    has_image: bool = False
    shared_env: dict[str, Any] = _json()
    effective: dict[str, Any] = _json()
    next_fire_at: datetime | None = _time(index=True)
    created_at: datetime = _time(null=False)
    updated_at: datetime = _time(null=False)
    deleted_at: datetime | None = _time()


class DeliveryRow(SQLModel, table=True):
    """One webhook call whose signature was right. `scopes` are the secrets that verified it."""

    __tablename__ = "delivery"
    __table_args__ = _args(
        Index("uq_delivery_forge_guid", "forge", "guid", unique=True),
        Index("ix_delivery_status_id", "status", "id"),
    )
    id: int = _id()
    forge: str
    guid: str
    event: str
    status: str
    scopes: list[str] = _json()
    body: bytes = Field(sa_column=SaColumn(LargeBinary, nullable=False))
    repository: str = ""
    ref: str = ""
    sha: str = ""
    sentence: str = _text()
    tries: int = 0
    replays: int = 0
    available_at: datetime | None = _time()
    received_at: datetime = _time(null=False)
    processed_at: datetime | None = _time()


class PushRow(SQLModel, table=True):
    """One movement of a branch, in the order in which the repository made it."""

    __tablename__ = "push"
    __table_args__ = _args(Index("ix_push_repo_key_ref_position", "repo_key", "ref", "position"))
    id: int = _id()
    repo_key: str
    ref: str
    before: str | None = None
    after: str | None = None
    position: int = Field(sa_column=SaColumn(BigInt, nullable=False))
    delivery_id: int | None = _ref("delivery.id", null=True)


class BuildRow(SQLModel, table=True):
    __tablename__ = "build"
    __table_args__ = _args(
        Index("ix_build_status_available_at", "status", "available_at"),
        Index("ix_build_key", "key"),
    )
    id: int = _id()
    project_id: int = _ref("project.id", index=True)
    key: str
    url: str = _text()
    ref: str = ""
    sha: str | None = None
    credential_id: int | None = _ref("credential.id", null=True)
    config: dict[str, Any] = _json()
    env: dict[str, Any] = _json()
    status: str
    reason: str | None = None
    sentence: str = _text()
    trigger: dict[str, Any] = _json()
    plan: dict[str, Any] | None = _json(null=True)
    dockerfile: str | None = _text(null=True)
    steps: list[dict[str, Any]] | None = _json(null=True)
    image: str | None = _text(null=True)
    digest: str | None = None
    position: int = Field(default=0, sa_column=SaColumn(BigInt, nullable=False))
    message: str = _text()
    author: str = ""
    owner: str | None = Field(default=None, index=True)
    token: int = 0
    tries: int = 0
    available_at: datetime = _time(null=False)
    cancel_requested_at: datetime | None = _time()
    created_at: datetime = _time(null=False)
    started_at: datetime | None = _time()
    finished_at: datetime | None = _time()


class BuildSourceRow(SQLModel, table=True):
    """Which sources a build was made for: several where they would all have made the same image."""

    __tablename__ = "build_source"
    __table_args__ = (Index("ix_build_source_source_id_build_id", "source_id", "build_id"),)
    build_id: int = Field(
        sa_column=SaColumn(BigInt, SaForeignKey("build.id", ondelete="CASCADE"), primary_key=True)
    )
    source_id: int = Field(
        sa_column=SaColumn(BigInt, SaForeignKey("source.id", ondelete="CASCADE"), primary_key=True)
    )


class RunRow(SQLModel, table=True):
    __tablename__ = "run"
    __table_args__ = _args(
        Index("ix_run_status_available_at", "status", "available_at"),
        Index("ix_run_job_id_id", "job_id", "id"),
        Index("ix_run_project_id_id", "project_id", "id"),
        Index("ix_run_job_id_status", "job_id", "status"),
    )
    id: int = _id()
    name: str = Field(unique=True)
    project_id: int = _ref("project.id")
    job_id: int = _ref("job.id")
    status: str
    reason: str | None = None
    sentence: str = _text()
    trigger_type: str
    trigger_by: str | None = None
    scheduled_for: datetime | None = _time()
    cause: str = _text()
    effective: dict[str, Any] = _json()
    overridden: list[str] = _json()
    image: str | None = _text(null=True)
    digest: str | None = None
    build_id: int | None = _ref("build.id", null=True, index=True)
    sha: str | None = None
    retry_limit: int = 0
    retry_backoff: str = "exponential"
    time_limit_seconds: int | None = None
    grace_period_seconds: int = 30
    instances: int = 1
    attempts: int = 0
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    interruptions: int = 0
    exit_code: int | None = None
    alone: bool = False
    owner: str | None = Field(default=None, index=True)
    token: int = 0
    available_at: datetime = _time(null=False)
    first_started_at: datetime | None = _time()
    started_at: datetime | None = _time()
    finished_at: datetime | None = _time()
    cancel_requested_at: datetime | None = _time()
    cancel_forced_at: datetime | None = _time()
    cancel_reason: str | None = None
    cancel_sentence: str = _text()
    created_at: datetime = _time(null=False)
    updated_at: datetime = _time(null=False)


class SecretGroupRow(SQLModel, table=True):
    """Variables that several jobs share; a greater `priority` wins over a smaller."""

    __tablename__ = "secret_group"
    __table_args__ = _args(Index("uq_secret_group_project_id_name", "project_id", "name", unique=True))
    id: int = _id()
    project_id: int = _ref("project.id")
    name: str
    priority: int = 0
    env: dict[str, Any] = _json()
    created_at: datetime = _time(null=False)


class SecretGroupJobRow(SQLModel, table=True):
    """Which jobs a secret group is attached to."""

    __tablename__ = "secret_group_job"
    group_id: int = Field(
        sa_column=SaColumn(BigInt, SaForeignKey("secret_group.id", ondelete="CASCADE"), primary_key=True)
    )
    job_id: int = Field(
        sa_column=SaColumn(BigInt, SaForeignKey("job.id", ondelete="CASCADE"), primary_key=True, index=True)
    )


class AppRow(SQLModel, table=True):
    """Jobs that deploy together. `held_by` is the rollback that holds continuous delivery until released."""

    __tablename__ = "app"
    __table_args__ = _args(Index("uq_app_project_id_name", "project_id", "name", unique=True))
    id: int = _id()
    project_id: int = _ref("project.id")
    name: str
    held_by: int | None = None
    created_at: datetime = _time(null=False)


class AppJobRow(SQLModel, table=True):
    """A job of an app; a job is in one app at most."""

    __tablename__ = "app_job"
    job_id: int = Field(
        sa_column=SaColumn(BigInt, SaForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    )
    app_id: int = _ref("app.id", index=True)
    position: int
    hook: str | None = None


class DeploymentRow(SQLModel, table=True):
    __tablename__ = "deployment"
    __table_args__ = _args(
        Index("ix_deployment_app_id_id", "app_id", "id"), Index("ix_deployment_status", "status")
    )
    id: int = _id()
    project_id: int = _ref("project.id")
    app_id: int = _ref("app.id")
    status: str
    phase: str
    cause: str
    by: str = ""
    sentence: str = _text()
    sha: str | None = None
    images: dict[str, Any] = _json()
    snapshot: dict[str, Any] = _json()
    keeps_cd: bool = False
    with_hooks: bool = True
    warning: str = _text()
    created_at: datetime = _time(null=False)
    started_at: datetime | None = _time()
    finished_at: datetime | None = _time()
    cancel_requested_at: datetime | None = _time()


class DeploymentStepRow(SQLModel, table=True):
    __tablename__ = "deployment_step"
    __table_args__ = _args(Index("ix_deployment_step_deployment_id", "deployment_id"))
    id: int = _id()
    deployment_id: int = _ref("deployment.id")
    kind: str
    position: int
    status: str
    job_id: int | None = _ref("job.id", null=True)
    build_id: int | None = _ref("build.id", null=True, index=True)
    run_id: int | None = _ref("run.id", null=True, index=True)
    sentence: str = _text()
    started_at: datetime | None = _time()
    finished_at: datetime | None = _time()


class PipelineRow(SQLModel, table=True):
    __tablename__ = "pipeline"
    __table_args__ = _args(Index("uq_pipeline_project_id_name", "project_id", "name", unique=True))
    id: int = _id()
    project_id: int = _ref("project.id")
    name: str
    created_at: datetime = _time(null=False)


class StageRow(SQLModel, table=True):
    __tablename__ = "stage"
    __table_args__ = _args(Index("uq_stage_pipeline_id_name", "pipeline_id", "name", unique=True))
    id: int = _id()
    pipeline_id: int = _ref("pipeline.id")
    name: str
    position: int


class StageComponentRow(SQLModel, table=True):
    """A job or an app in a stage; each is in one stage at most."""

    __tablename__ = "stage_component"
    __table_args__ = _args()
    id: int = _id()
    stage_id: int = _ref("stage.id", index=True)
    position: int
    job_id: int | None = Field(
        default=None,
        sa_column=SaColumn(BigInt, SaForeignKey("job.id", ondelete="CASCADE"), unique=True, nullable=True),
    )
    app_id: int | None = Field(
        default=None,
        sa_column=SaColumn(BigInt, SaForeignKey("app.id", ondelete="CASCADE"), unique=True, nullable=True),
    )


class PromotionRow(SQLModel, table=True):
    """One copy of deployed images from a component to another, by digest."""

    __tablename__ = "promotion"
    __table_args__ = _args(Index("ix_promotion_pipeline_id_id", "pipeline_id", "id"))
    id: int = _id()
    pipeline_id: int = _ref("pipeline.id")
    from_name: str
    to_name: str
    images: dict[str, Any] = _json()
    deployment_id: int | None = _ref("deployment.id", null=True)
    by: str = ""
    sentence: str = _text()
    created_at: datetime = _time(null=False)


class FlowRow(SQLModel, table=True):
    """A release flow. `trigger_hash` recognises the token of its webhook address."""

    __tablename__ = "flow"
    __table_args__ = _args(Index("uq_flow_project_id_name", "project_id", "name", unique=True))
    id: int = _id()
    project_id: int = _ref("project.id")
    name: str
    definition: dict[str, Any] = _json()
    concurrency: str = "queue"
    push_job_id: int | None = _ref("job.id", null=True, index=True, outlives=True)
    trigger_hash: str | None = Field(default=None, unique=True)
    created_at: datetime = _time(null=False)


class FlowRunRow(SQLModel, table=True):
    __tablename__ = "flow_run"
    __table_args__ = _args(
        Index("ix_flow_run_flow_id_id", "flow_id", "id"), Index("ix_flow_run_status", "status")
    )
    id: int = _id()
    flow_id: int = _ref("flow.id")
    project_id: int = _ref("project.id")
    status: str
    trigger: dict[str, Any] = _json()
    created_at: datetime = _time(null=False)
    started_at: datetime | None = _time()
    finished_at: datetime | None = _time()
    cancel_requested_at: datetime | None = _time()


class FlowNodeRow(SQLModel, table=True):
    __tablename__ = "flow_node"
    __table_args__ = _args(Index("ix_flow_node_flow_run_id", "flow_run_id"))
    id: int = _id()
    flow_run_id: int = _ref("flow_run.id")
    group: int
    name: str
    type: str
    spec: dict[str, Any] = _json()
    status: str
    tries: int = 0
    log: list[str] = _json()
    build_id: int | None = _ref("build.id", null=True, outlives=True)
    run_id: int | None = _ref("run.id", null=True, outlives=True)
    deployment_id: int | None = _ref("deployment.id", null=True, outlives=True)
    started_at: datetime | None = _time()
    finished_at: datetime | None = _time()


class AttemptRow(SQLModel, table=True):
    __tablename__ = "attempt"
    __table_args__ = _args(Index("uq_attempt_run_id_number", "run_id", "number", unique=True))
    id: int = _id()
    run_id: int = _ref("run.id")
    number: int
    status: str
    token: int
    reason: str | None = None
    exit_code: int | None = None
    sentence: str = _text()
    created_at: datetime = _time(null=False)
    started_at: datetime | None = _time()
    finished_at: datetime | None = _time()


class ContainerRow(SQLModel, table=True):
    __tablename__ = "container"
    __table_args__ = _args(Index("uq_container_attempt_id_instance", "attempt_id", "instance", unique=True))
    id: int = _id()
    attempt_id: int = _ref("attempt.id")
    instance: int
    key: str = Field(unique=True)
    handle: dict[str, str] | None = _json(null=True)
    reason: str | None = None
    exit_code: int | None = None
    sentence: str = _text()
    started_at: datetime | None = _time()
    finished_at: datetime | None = _time()


class DecisionRow(SQLModel, table=True):
    """One verdict about an event and a job. Unique, so that deciding again after a crash changes nothing."""

    __tablename__ = "decision"
    __table_args__ = _args(
        Index("uq_decision_event_type_event_id_job_id", "event_type", "event_id", "job_id", unique=True),
        Index("ix_decision_job_id_id", "job_id", "id"),
        Index("ix_decision_project_id_id", "project_id", "id"),
        Index("ix_decision_job_id_at", "job_id", "at"),
    )
    id: int = _id()
    at: datetime = _time(null=False)
    event_type: str
    event_id: str
    project_id: int = _ref("project.id")
    job_id: int | None = _ref("job.id", null=True)
    verdict: str
    rule: str
    sentence: str = _text()
    inputs: dict[str, Any] = _json()
    build_id: int | None = _ref("build.id", null=True, index=True)
    run_id: int | None = _ref("run.id", null=True, index=True)
    deployment_id: int | None = _ref("deployment.id", null=True, index=True)


class TokenRow(SQLModel, table=True):
    """An API token; only its hash is kept. `project_id` limits it to one project."""

    __tablename__ = "token"
    __table_args__ = _args()
    id: int = _id()
    name: str
    hash: str = Field(unique=True)
    role: str
    project_id: int | None = _ref("project.id", null=True)
    created_at: datetime = _time(null=False)
    expires_at: datetime | None = _time()
    last_used_at: datetime | None = _time()


class AnswerRow(SQLModel, table=True):
    """The first answer to a request with an idempotency key."""

    __tablename__ = "answer"
    principal: str = Field(primary_key=True)
    path: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: str = _text()
    answer: dict[str, Any] = _json()
    created_at: datetime = _time(null=False, index=True)


class UserRow(SQLModel, table=True):
    __tablename__ = "user_account"
    __table_args__ = _args()
    id: int = _id()
    name: str = Field(unique=True)
    password_hash: str
    role: str
    created_at: datetime = _time(null=False)


class LoginRow(SQLModel, table=True):
    """A browser that is logged in, or (`once`) a link that logs one in; only the hash of the secret is kept."""

    __tablename__ = "login"
    hash: str = Field(primary_key=True)
    user_id: int | None = _ref("user_account.id", null=True)
    once: bool = False
    created_at: datetime = _time(null=False)
    expires_at: datetime = _time(null=False)
