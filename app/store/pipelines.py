"""Pipelines and promotions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import delete as delete_rows
from sqlmodel import col, select

from app.domain.errors import Conflict, NotFound
from app.domain.pipelines import Component, Pipeline, Stage
from app.store.database import Tx, touch
from app.store.schema import (
    AppRow,
    JobRow,
    PipelineRow,
    ProjectRow,
    PromotionRow,
    StageComponentRow,
    StageRow,
)
from app.store.unreadable import by_id, newest

TOPIC = "pipelines"


@dataclass(frozen=True)
class Promotion:
    id: int
    pipeline_id: int
    source: str
    target: str
    images: Mapping[str, str]
    deployment_id: int | None
    by: str
    sentence: str
    created_at: datetime


def create(tx: Tx, project_id: int, name: str, now: datetime) -> int:
    taken = select(PipelineRow.id).where(PipelineRow.project_id == project_id, PipelineRow.name == name)
    if tx.exec(taken).first() is not None:
        raise Conflict(f"There is a pipeline named {name} in this project already.")
    row = PipelineRow(project_id=project_id, name=name, created_at=now)
    tx.add(row)
    tx.flush()
    touch(tx, TOPIC)
    return row.id


def set_stages(tx: Tx, pipeline_id: int, stages: Sequence[Stage]) -> None:
    """Make these the pipeline's stages. Raises Conflict for a component of another pipeline or named twice."""
    tx.connection().execute(delete_rows(StageRow).where(col(StageRow.pipeline_id) == pipeline_id))
    tx.expire_all()
    for position, stage in enumerate(stages):
        row = StageRow(pipeline_id=pipeline_id, name=stage.name, position=position)
        tx.add(row)
        tx.flush()
        for place, component in enumerate(stage.components):
            _require_free(tx, component)
            tx.add(
                StageComponentRow(
                    stage_id=row.id,
                    position=place,
                    job_id=component.id if component.kind == "job" else None,
                    app_id=component.id if component.kind == "app" else None,
                )
            )
            tx.flush()
    touch(tx, TOPIC)


def of_component(tx: Tx, kind: str, component_id: int) -> tuple[str, str] | None:
    """The pipeline and stage that a job or an app is in."""
    column = StageComponentRow.job_id if kind == "job" else StageComponentRow.app_id
    query = (
        select(PipelineRow.name, StageRow.name)
        .join(StageRow, col(StageRow.pipeline_id) == col(PipelineRow.id))
        .join(StageComponentRow, col(StageComponentRow.stage_id) == col(StageRow.id))
        .where(column == component_id)
    )
    return tx.exec(query).first()


def taken(tx: Tx, project_id: int, *, but_by: int | None = None) -> set[tuple[str, int]]:
    """The kind and id of each job and app that is in a pipeline of the project, except in the one with the id."""
    query = (
        select(StageComponentRow.job_id, StageComponentRow.app_id)
        .join(StageRow, col(StageRow.id) == col(StageComponentRow.stage_id))
        .join(PipelineRow, col(PipelineRow.id) == col(StageRow.pipeline_id))
        .where(PipelineRow.project_id == project_id, PipelineRow.id != (but_by or 0))
    )
    return {("job", job) if job is not None else ("app", app or 0) for job, app in tx.exec(query)}


def _require_free(tx: Tx, component: Component) -> None:
    taken = of_component(tx, component.kind, component.id)
    if taken is not None:
        pipeline, stage = taken
        raise Conflict(f"{component.name} is in stage {stage} of pipeline {pipeline} already.")


def delete(tx: Tx, pipeline_id: int) -> None:
    tx.delete(tx.get_one(PipelineRow, pipeline_id))
    touch(tx, TOPIC)


def named(tx: Tx, project: str, name: str) -> Pipeline:
    query = select(PipelineRow).join(ProjectRow, col(ProjectRow.id) == col(PipelineRow.project_id))
    row = tx.exec(query.where(ProjectRow.name == project, PipelineRow.name == name)).first()
    if row is None:
        raise NotFound(f"There is no pipeline named {name} in project {project}.")
    return _value(tx, row)


def page(tx: Tx, *, project_id: int | None, limit: int, before: int | None = None) -> Sequence[Pipeline]:
    query = select(PipelineRow)
    if project_id is not None:
        query = query.where(PipelineRow.project_id == project_id)
    return newest(tx, by_id(query, col(PipelineRow.id)), partial(_value, tx), limit, before)


def add_promotion(
    tx: Tx,
    *,
    pipeline_id: int,
    source: str,
    target: str,
    images: Mapping[str, str],
    by: str,
    sentence: str,
    now: datetime,
) -> int:
    row = PromotionRow(
        pipeline_id=pipeline_id,
        from_name=source,
        to_name=target,
        images=dict(images),
        by=by,
        sentence=sentence,
        created_at=now,
    )
    tx.add(row)
    tx.flush()
    touch(tx, TOPIC)
    return row.id


def promotion_deploys(tx: Tx, promotion_id: int, deployment_id: int) -> None:
    tx.get_one(PromotionRow, promotion_id).deployment_id = deployment_id


def promotions(tx: Tx, pipeline_id: int, limit: int, before: int | None = None) -> Sequence[Promotion]:
    query = select(PromotionRow).where(PromotionRow.pipeline_id == pipeline_id)
    if before is not None:
        query = query.where(col(PromotionRow.id) < before)
    return [_promotion(row) for row in tx.exec(query.order_by(col(PromotionRow.id).desc()).limit(limit))]


def promotion(tx: Tx, promotion_id: int) -> Promotion:
    row = tx.get(PromotionRow, promotion_id)
    if row is None:
        raise NotFound(f"There is no promotion {promotion_id}.")
    return _promotion(row)


def _promotion(row: PromotionRow) -> Promotion:
    return Promotion(
        id=row.id,
        pipeline_id=row.pipeline_id,
        source=row.from_name,
        target=row.to_name,
        images=row.images,
        deployment_id=row.deployment_id,
        by=row.by,
        sentence=row.sentence,
        created_at=row.created_at,
    )


def _value(tx: Tx, row: PipelineRow) -> Pipeline:
    stages = tx.exec(select(StageRow).where(StageRow.pipeline_id == row.id).order_by(col(StageRow.position)))
    return Pipeline(
        id=row.id,
        project_id=row.project_id,
        project=tx.get_one(ProjectRow, row.project_id).name,
        name=row.name,
        stages=tuple(Stage(stage.name, _components(tx, stage.id)) for stage in stages),
        created_at=row.created_at,
    )


def _components(tx: Tx, stage_id: int) -> tuple[Component, ...]:
    query = (
        select(StageComponentRow.job_id, JobRow.name, StageComponentRow.app_id, AppRow.name)
        .outerjoin(JobRow, col(JobRow.id) == col(StageComponentRow.job_id))
        .outerjoin(AppRow, col(AppRow.id) == col(StageComponentRow.app_id))
        .where(StageComponentRow.stage_id == stage_id)
        .order_by(col(StageComponentRow.position))
    )
    found = []
    for job_id, job, app_id, app_name in tx.exec(query):
        if job_id is not None:
            found.append(Component("job", job_id, job))
        elif app_id is not None:
            found.append(Component("app", app_id, app_name))
    return tuple(found)
