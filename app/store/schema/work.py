"""What happens: deliveries, pushes, builds, runs with their attempts and containers, and decisions."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column as SaColumn
from sqlalchemy import ForeignKey as SaForeignKey
from sqlalchemy import Index, LargeBinary
from sqlmodel import Field, SQLModel

from app.domain.documents import Json
from app.domain.job.spec import BuildConfig, RunSpec
from app.domain.job.variables import EnvValue
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
from app.store.schema.specs import build_column, env_column, run_column


class DeliveryRow(SQLModel, table=True):
    """One webhook call whose signature was right. `scopes` are the secrets that verified it.

    `lane` names the projects and repositories it is for: those of a lane are taken one after the other. While it is
    being processed a server owns it; `asks_git` says that Git has to be asked about it. `approved_by` lets the commit
    of a fork be built that it tells of.
    """

    __tablename__ = "delivery"
    __table_args__ = table_args(
        Index("uq_delivery_guid_forge", "guid", "forge", unique=True),
        Index("ix_delivery_status_id", "status", "id"),
        partial("ix_delivery_waiting_lane_id", "lane", "id", where="status = 'received'"),
        partial("ix_delivery_ping_id", "id", where="event = 'ping'"),
        partial("ix_delivery_waiting_asks_git_id", "status", "asks_git", "id", where="status = 'received'"),
    )
    id: int = id_column()
    forge: str
    guid: str
    event: str
    status: str
    scopes: list[str] = json_column()
    body: bytes = Field(sa_column=SaColumn(LargeBinary, nullable=False))
    repository: str = ""
    ref: str = ""
    sha: str = ""
    sentence: str = text_column()
    tries: int = 0
    replays: int = 0
    deaths: int = 0  # `crashes`, by its former name
    lane: str = text_column()
    asks_git: bool = False
    approved_by: str | None = None
    owner: str | None = None
    token: int = 0
    available_at: datetime | None = time_column()
    received_at: datetime = time_column(null=False)
    processed_at: datetime | None = time_column()


class MovementRow(SQLModel, table=True):
    """One movement of a branch, as one source took it; a project's sources share positions, its repository's order.

    Without a source it only keeps its place. `is_found`: by comparing with the remote, where no hook told of it.
    """

    __tablename__ = "movement"
    __table_args__ = table_args(
        Index("ix_movement_project_id_repo_key_ref_position", "project_id", "repo_key", "ref", "position"),
        Index("ix_movement_source_id_ref_position", "source_id", "ref", "position"),
        Index("ix_movement_delivery_id", "delivery_id"),
    )
    id: int = id_column()
    project_id: int = ref_column("project.id")
    source_id: int | None = ref_column("source.id", null=True, outlives=True)
    repo_key: str
    ref: str
    before: str | None = None
    after: str | None = None
    position: int = Field(sa_column=SaColumn(BigInt, nullable=False))
    delivery_id: int | None = ref_column("delivery.id", null=True, outlives=True)
    is_found: bool = False


class ComparisonRow(SQLModel, table=True):
    """The last look at the branch that a source tracks, as `domain.comparing.Seen`, and when the next one is due.

    Without a `ref` nothing is known of the branch. `sentence` says why the last `failures` looks failed.
    """

    __tablename__ = "comparison"
    source_id: int = Field(
        sa_column=SaColumn(BigInt, SaForeignKey("source.id", ondelete="CASCADE"), primary_key=True)
    )
    url: str = text_column()
    ref: str = ""
    head: str | None = None
    position: int = Field(default=0, sa_column=SaColumn(BigInt, nullable=False))
    found: str | None = None
    found_at: datetime | None = time_column()
    looked_at: datetime = time_column(null=False)
    compared_at: datetime | None = time_column()
    due_at: datetime = time_column(null=False)
    failures: int = 0
    sentence: str = text_column()


class UnknownRepositoryRow(SQLModel, table=True):
    """Calls that a project's secret signed, about a repository nothing in it has: renamed, transferred or forgotten."""

    __tablename__ = "unknown_repository"
    __table_args__ = table_args(
        Index("uq_unknown_repository_project_id_name", "project_id", "name", unique=True)
    )
    id: int = id_column()
    project_id: int = ref_column("project.id")
    name: str = text_column()
    calls: int = 0
    last_at: datetime = time_column(null=False)


class BuildRow(SQLModel, table=True):
    __tablename__ = "build"
    __table_args__ = table_args(
        Index("ix_build_status_available_at", "status", "available_at"),
        Index("ix_build_status_project_id_available_at", "status", "project_id", "available_at"),
        Index("ix_build_key", "key"),
        Index("ix_build_digest", "digest"),
        partial("ix_build_project_id_id_log_bytes", "project_id", "id", "log_bytes", where="log_bytes > 0"),
        partial("ix_build_rebuild_of", "rebuild_of", where="rebuild_of IS NOT NULL"),
    )
    id: int = id_column()
    project_id: int = ref_column("project.id", index=True)
    key: str
    url: str = text_column()
    ref: str = ""
    sha: str | None = None
    credential_id: int | None = ref_column("credential.id", null=True)
    config: BuildConfig = build_column()
    env: dict[str, EnvValue] = env_column()
    status: str
    reason: str | None = None
    sentence: str = text_column()
    trigger: Json = json_column()
    plan: Json | None = json_column(null=True)
    dockerfile: str | None = text_column(null=True)
    steps: list[Json] | None = json_column(null=True)
    phases: list[tuple[str, float, float]] | None = json_column(
        null=True
    )  # as in `domain.build_parts.BuildPhase`
    image: str | None = text_column(null=True)
    digest: str | None = None
    image_removed_at: datetime | None = time_column()
    log_bytes: int = Field(default=0, sa_column=SaColumn(BigInt, nullable=False))
    position: int = Field(default=0, sa_column=SaColumn(BigInt, nullable=False))
    on_branch: bool | None = None
    contained_in: list[str] | None = json_column(null=True)
    message: str = text_column()
    author: str = ""
    owner: str | None = None
    token: int = 0
    tries: int = 0
    fetching: bool = False
    unanswered_since: datetime | None = time_column()
    deaths: int = 0  # `crashes`, by its former name
    rebuild_of: int | None = Field(default=None, sa_column=SaColumn(BigInt))
    available_at: datetime = time_column(null=False)
    cancel_requested_at: datetime | None = time_column()
    created_at: datetime = time_column(null=False)
    started_at: datetime | None = time_column()
    finished_at: datetime | None = time_column()


class BuildSourceRow(SQLModel, table=True):
    """A source that a build was made for; a build has several where they would all have made the same image."""

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
    __table_args__ = table_args(
        Index("ix_run_status_available_at", "status", "available_at"),
        Index("ix_run_status_project_id_available_at", "status", "project_id", "available_at"),
        Index("ix_run_job_id_id", "job_id", "id"),
        Index("ix_run_project_id_id", "project_id", "id"),
        partial("ix_run_project_id_id_log_bytes", "project_id", "id", "log_bytes", where="log_bytes > 0"),
        partial(
            "ix_run_goes_on_status_project_id_available_at",
            *("status", "project_id", "available_at"),
            where="status = 'queued' AND active > 0",
        ),
        partial("ix_run_failed_job_id_status_id", "job_id", "status", "id", where="status = 'failed'"),
        partial("ix_run_not_succeeded_status_id", "status", "id", where="status IN ('failed', 'cancelled')"),
        partial("ix_run_open_job_id", "job_id", where="status IN ('queued', 'running')"),
        partial("ix_run_build_id", "build_id", where="build_id IS NOT NULL"),
        partial("ix_run_awaited_build_id", "awaited_build_id", where="awaited_build_id IS NOT NULL"),
    )
    id: int = id_column()
    name: str = Field(unique=True)
    project_id: int = ref_column("project.id")
    job_id: int = ref_column("job.id")
    status: str
    reason: str | None = None
    sentence: str = text_column()
    trigger_type: str
    trigger_by: str | None = None
    scheduled_for: datetime | None = time_column()
    cause: str = text_column()
    effective: RunSpec = run_column()
    plan: str = ""  # as in `effective`, like `instances`: what it takes of its project's limits
    instances: int = 1
    overridden: list[str] = json_column()
    image: str | None = text_column(null=True)
    digest: str | None = None
    reference: str | None = text_column(null=True)
    build_id: int | None = ref_column("build.id", null=True)
    sha: str | None = None
    attempts: int = 0
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    interruptions: int = 0
    deaths: int = 0  # `crashes`, by its former name
    tries: int = 0
    unanswered_since: datetime | None = time_column()
    awaited_build_id: int | None = Field(default=None, sa_column=SaColumn(BigInt))
    exit_code: int | None = None
    log_bytes: int = Field(default=0, sa_column=SaColumn(BigInt, nullable=False))
    engine: str | None = None  # that its attempt was begun on, as long as that goes on
    alone: bool = False
    owner: str | None = None
    token: int = 0
    available_at: datetime = time_column(null=False)
    first_started_at: datetime | None = time_column()
    started_at: datetime | None = time_column()
    finished_at: datetime | None = time_column()
    cancel_requested_at: datetime | None = time_column()
    cancel_forced_at: datetime | None = time_column()
    cancel_reason: str | None = None
    cancel_sentence: str = text_column()
    created_at: datetime = time_column(null=False)
    updated_at: datetime = time_column(null=False)


class AttemptRow(SQLModel, table=True):
    __tablename__ = "attempt"
    __table_args__ = table_args(Index("uq_attempt_run_id_number", "run_id", "number", unique=True))
    id: int = id_column()
    run_id: int = ref_column("run.id")
    number: int
    status: str
    token: int
    reason: str | None = None
    exit_code: int | None = None
    sentence: str = text_column()
    created_at: datetime = time_column(null=False)
    started_at: datetime | None = time_column()
    finished_at: datetime | None = time_column()


class ContainerRow(SQLModel, table=True):
    __tablename__ = "container"
    __table_args__ = table_args(
        Index("uq_container_attempt_id_instance", "attempt_id", "instance", unique=True)
    )
    id: int = id_column()
    attempt_id: int = ref_column("attempt.id")
    instance: int
    key: str = Field(unique=True)
    handle: dict[str, str] | None = json_column(null=True)
    reason: str | None = None
    exit_code: int | None = None
    sentence: str = text_column()
    started_at: datetime | None = time_column()
    finished_at: datetime | None = time_column()


class DecisionRow(SQLModel, table=True):
    """One verdict about an event and a job. Unique, so that deciding again after a crash changes nothing."""

    __tablename__ = "decision"
    __table_args__ = table_args(
        Index("uq_decision_event_type_event_id_job_id", "event_type", "event_id", "job_id", unique=True),
        Index("ix_decision_at", "at"),
        Index("ix_decision_project_id_at", "project_id", "at"),
        Index("ix_decision_job_id_at", "job_id", "at"),
        partial("ix_decision_job_id_verdict_at", "job_id", "verdict", "at", where="verdict <> 'started'"),
        partial("ix_decision_missed_at", "at", "id", where="verdict = 'missed'"),
        partial(
            "ix_decision_nothing_ran_at",
            *("at", "id"),
            where="verdict IN ('skipped', 'available', 'missed', 'duplicate')",
        ),
        partial("ix_decision_build_id_at", "build_id", "at", where="build_id IS NOT NULL"),
        partial("ix_decision_run_id_at", "run_id", "at", where="run_id IS NOT NULL"),
        partial("ix_decision_deployment_id_at", "deployment_id", "at", where="deployment_id IS NOT NULL"),
        partial(
            "ix_decision_alone_job_id_id",
            *("job_id", "id"),
            where="run_id IS NULL AND build_id IS NULL AND deployment_id IS NULL",
        ),
    )
    id: int = id_column()
    at: datetime = time_column(null=False)
    event_type: str
    event_id: str
    project_id: int = ref_column("project.id")
    job_id: int | None = ref_column("job.id", null=True)
    verdict: str
    rule: str
    sentence: str = text_column()
    inputs: Json = json_column()
    build_id: int | None = ref_column("build.id", null=True)
    run_id: int | None = ref_column("run.id", null=True)
    deployment_id: int | None = ref_column("deployment.id", null=True)
