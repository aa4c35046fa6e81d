"""Pipelines: ordered stages, and what is deployed in each."""

from __future__ import annotations

from typing import Any, TypeVar

from app.commands import pipelines as commands
from app.domain.pipelines import Component, Pipeline
from app.domain.principals import Right
from app.store import apps, jobs, pipelines
from app.store.database import Tx
from app.web.api.lists import confirmed, paged
from app.web.api.operations import ApiContext, Operation
from app.web.schemas.base import Confirm, Empty, Page, Paging
from app.web.schemas.job import deployed_answer
from app.web.schemas.pipeline import (
    ComponentAnswer,
    PipelineAnswer,
    PipelineForm,
    PipelinePatch,
    PlaceAnswer,
    StageAnswer,
    drafts_of,
)
from app.web.scope import pipeline_of, project_of

T = TypeVar("T")


def list_pipelines(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: pipelines.page(tx, project_id=project.id, limit=limit, before=before),
            lambda found: [pipeline_answer(tx, each) for each in found],
        )


def create_pipeline(ctx: ApiContext[PipelineForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        stages = drafts_of(ctx.body.stages)
        return pipeline_answer(tx, commands.define_pipeline(tx, project, ctx.body.name, stages, ctx.now))


def show_pipeline(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return pipeline_answer(tx, pipeline_of(ctx, tx))


def change_pipeline(ctx: ApiContext[PipelinePatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        pipeline = pipeline_of(ctx, tx)
        return pipeline_answer(tx, commands.change_pipeline(tx, pipeline, drafts_of(ctx.body.stages)))


def delete_pipeline(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        pipeline = pipeline_of(ctx, tx)
        confirmed(ctx, pipeline.name)
        commands.remove_pipeline(tx, pipeline)


def pipeline_answer(tx: Tx, pipeline: Pipeline) -> PipelineAnswer:
    return PipelineAnswer(
        id=pipeline.id,
        project=pipeline.project,
        name=pipeline.name,
        stages=[
            StageAnswer(
                name=stage.name, components=[_component_answer(tx, each) for each in stage.components]
            )
            for stage in pipeline.stages
        ],
        created_at=pipeline.created_at,
    )


def _component_answer(tx: Tx, component: Component) -> ComponentAnswer:
    ids = (
        [component.id]
        if component.kind == "job"
        else [member.job_id for member in apps.with_id(tx, component.id).members]
    )
    found, places = jobs.with_ids(tx, ids), []
    for job in (found[job_id] for job_id in ids if job_id in found):
        deployed = None if job.deployed is None else deployed_answer(job.deployed)
        places.append(PlaceAnswer(job=job.name, deployed=deployed, paused=job.paused))
    return ComponentAnswer(name=component.name, kind=component.kind, jobs=places)


PATH = "/projects/{p}/pipelines"
OPERATIONS = (
    Operation(
        "GET", PATH, "List a project's pipelines", list_pipelines, query=Paging, answer=Page[PipelineAnswer]
    ),
    Operation(
        "POST",
        PATH,
        "Make a pipeline",
        create_pipeline,
        Right.CHANGE,
        body=PipelineForm,
        answer=PipelineAnswer,
        status=201,
    ),
    Operation(
        "GET",
        PATH + "/{pl}",
        "Show which commit is where in a pipeline",
        show_pipeline,
        answer=PipelineAnswer,
    ),
    Operation(
        "PATCH",
        PATH + "/{pl}",
        "Change a pipeline's stages",
        change_pipeline,
        Right.CHANGE,
        body=PipelinePatch,
        answer=PipelineAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{pl}",
        "Delete a pipeline; its components stay",
        delete_pipeline,
        Right.CHANGE,
        query=Confirm,
        status=204,
    ),
)
