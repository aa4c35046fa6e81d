"""What moves together: apps and deployments, pipelines and promotions, release flows."""

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


class AppRow(SQLModel, table=True):
    """Jobs that deploy together. `held_by` is the rollback that holds continuous delivery until released."""

    __tablename__ = "app"
    __table_args__ = table_args(Index("uq_app_project_id_name", "project_id", "name", unique=True))
    id: int = id_column()
    project_id: int = ref_column("project.id")
    name: str
    held_by: int | None = None
    created_at: datetime = time_column(null=False)


class AppJobRow(SQLModel, table=True):
    """A job of an app; a job is in one app at most."""

    __tablename__ = "app_job"
    job_id: int = Field(
        sa_column=SaColumn(BigInt, SaForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    )
    app_id: int = ref_column("app.id", index=True)
    position: int
    hook: str | None = None


class DeploymentRow(SQLModel, table=True):
    __tablename__ = "deployment"
    __table_args__ = table_args(
        Index("ix_deployment_app_id_id", "app_id", "id"), Index("ix_deployment_status", "status")
    )
    id: int = id_column()
    project_id: int = ref_column("project.id")
    app_id: int = ref_column("app.id")
    status: str
    phase: str
    cause: str
    by: str = ""
    sentence: str = text_column()
    sha: str | None = None
    images: Json = json_column()
    snapshot: Json = json_column()
    keeps_cd: bool = False
    with_hooks: bool = True
    warning: str = text_column()
    created_at: datetime = time_column(null=False)
    started_at: datetime | None = time_column()
    finished_at: datetime | None = time_column()
    cancel_requested_at: datetime | None = time_column()


class DeploymentStepRow(SQLModel, table=True):
    __tablename__ = "deployment_step"
    __table_args__ = table_args(Index("ix_deployment_step_deployment_id", "deployment_id"))
    id: int = id_column()
    deployment_id: int = ref_column("deployment.id")
    kind: str
    position: int
    status: str
    job_id: int | None = ref_column("job.id", null=True)
    build_id: int | None = ref_column("build.id", null=True, index=True)
    run_id: int | None = ref_column("run.id", null=True, index=True)
    sentence: str = text_column()
    started_at: datetime | None = time_column()
    finished_at: datetime | None = time_column()


class PipelineRow(SQLModel, table=True):
    __tablename__ = "pipeline"
    __table_args__ = table_args(Index("uq_pipeline_project_id_name", "project_id", "name", unique=True))
    id: int = id_column()
    project_id: int = ref_column("project.id")
    name: str
    created_at: datetime = time_column(null=False)


class StageRow(SQLModel, table=True):
    __tablename__ = "stage"
    __table_args__ = table_args(Index("uq_stage_pipeline_id_name", "pipeline_id", "name", unique=True))
    id: int = id_column()
    pipeline_id: int = ref_column("pipeline.id")
    name: str
    position: int


class StageComponentRow(SQLModel, table=True):
    """A job or an app in a stage; each is in one stage at most."""

    __tablename__ = "stage_component"
    __table_args__ = table_args()
    id: int = id_column()
    stage_id: int = ref_column("stage.id", index=True)
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
    __table_args__ = table_args(
        Index("ix_promotion_pipeline_id_id", "pipeline_id", "id"),
        partial("ix_promotion_deployment_id", "deployment_id", where="deployment_id IS NOT NULL"),
    )
    id: int = id_column()
    pipeline_id: int = ref_column("pipeline.id")
    from_name: str
    to_name: str
    images: dict[str, str] = json_column()
    deployment_id: int | None = ref_column("deployment.id", null=True)
    by: str = ""
    sentence: str = text_column()
    created_at: datetime = time_column(null=False)


class FlowRow(SQLModel, table=True):
    """A release flow. `trigger_hash` recognises the token of its webhook address."""

    __tablename__ = "flow"
    __table_args__ = table_args(Index("uq_flow_project_id_name", "project_id", "name", unique=True))
    id: int = id_column()
    project_id: int = ref_column("project.id")
    name: str
    definition: Json = json_column()
    concurrency: str = "queue"
    push_job_id: int | None = ref_column("job.id", null=True, index=True, outlives=True)
    trigger_hash: str | None = Field(default=None, unique=True)
    created_at: datetime = time_column(null=False)


class FlowRunRow(SQLModel, table=True):
    __tablename__ = "flow_run"
    __table_args__ = table_args(
        Index("ix_flow_run_flow_id_id", "flow_id", "id"), Index("ix_flow_run_status", "status")
    )
    id: int = id_column()
    flow_id: int = ref_column("flow.id")
    project_id: int = ref_column("project.id")
    status: str
    trigger: Json = json_column()
    created_at: datetime = time_column(null=False)
    started_at: datetime | None = time_column()
    finished_at: datetime | None = time_column()
    cancel_requested_at: datetime | None = time_column()


class FlowNodeRow(SQLModel, table=True):
    __tablename__ = "flow_node"
    __table_args__ = table_args(
        Index("ix_flow_node_flow_run_id", "flow_run_id"),
        partial("ix_flow_node_build_id", "build_id", where="build_id IS NOT NULL"),
        partial("ix_flow_node_run_id", "run_id", where="run_id IS NOT NULL"),
        partial("ix_flow_node_deployment_id", "deployment_id", where="deployment_id IS NOT NULL"),
    )
    id: int = id_column()
    flow_run_id: int = ref_column("flow_run.id")
    group: int
    name: str
    type: str
    spec: Json = json_column()
    status: str
    tries: int = 0
    log: list[str] = json_column()
    build_id: int | None = ref_column("build.id", null=True, outlives=True)
    run_id: int | None = ref_column("run.id", null=True, outlives=True)
    deployment_id: int | None = ref_column("deployment.id", null=True, outlives=True)
    available_at: datetime | None = time_column()
    started_at: datetime | None = time_column()
    finished_at: datetime | None = time_column()
