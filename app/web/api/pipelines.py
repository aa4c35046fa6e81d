"""Pipelines: ordered stages, and what is deployed in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from app.domain.errors import Conflict, InvalidValue, NotFound
from app.domain.pipelines import Component, Pipeline, Stage
from app.domain.principals import Role
from app.store import apps, jobs, pipelines
from app.store.database import Tx
from app.web.api.forms.job import deployed_answer
from app.web.api.forms.pipeline import (
    ComponentAnswer,
    PipelineAnswer,
    PipelineForm,
    PipelinePatch,
    PlaceAnswer,
    StageAnswer,
    StageForm,
)
from app.web.api.operations import ApiContext, Confirm, Empty, Operation, Page, Paging
from app.web.api.scope import confirmed, paged, pipeline_of, project_of

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
        project = project_of(ctx, tx, Role.OPERATOR)
        pipeline_id = pipelines.create(tx, project.id, ctx.body.name, ctx.now)
        pipelines.set_stages(tx, pipeline_id, _stages(tx, project.name, ctx.body.stages, None))
        return pipeline_answer(tx, pipelines.named(tx, project.name, ctx.body.name))


def show_pipeline(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return pipeline_answer(tx, pipeline_of(ctx, tx))


def change_pipeline(ctx: ApiContext[PipelinePatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        pipeline = pipeline_of(ctx, tx, Role.OPERATOR)
        pipelines.set_stages(tx, pipeline.id, _stages(tx, pipeline.project, ctx.body.stages, pipeline))
        return pipeline_answer(tx, pipelines.named(tx, pipeline.project, pipeline.name))


def delete_pipeline(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        pipeline = pipeline_of(ctx, tx, Role.OPERATOR)
        confirmed(ctx, pipeline.name)
        pipelines.delete(tx, pipeline.id)


def _stages(tx: Tx, project: str, given: Sequence[StageForm], kept: Pipeline | None) -> list[Stage]:
    names = [stage.name for stage in given]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidValue("stages", f"stages must have names of their own, and two are named {twice}.")
    return [
        Stage(stage.name, tuple(_component(tx, project, name, kept) for name in stage.components))
        for stage in given
    ]


def _component(tx: Tx, project: str, name: str, kept: Pipeline | None) -> Component:
    """The job or app of that name: the one that the pipeline has already, or the only one that can be meant."""
    known = None if kept is None else kept.find(name)
    if known is not None:
        return known[1]
    job, app = _found(jobs.named, tx, project, name), _found(apps.named, tx, project, name)
    if job is None and app is None:
        message = f"stages must name jobs and apps of project {project}, which {name} is not."
        raise InvalidValue("stages", message)
    of = None if job is None else apps.of_job(tx, job.id)
    if app is not None and (job is None or of is not None):
        return Component("app", app.id, name)
    if app is not None:
        raise Conflict(
            f"There is both a job and an app named {name}, and a pipeline knows its components by name: "
            "make one of them anew under another."
        )
    assert job is not None
    if of is not None:
        raise Conflict(f"Job {name} deploys with app {of.name}: name the app instead.")
    return Component("job", job.id, name)


def _found(named: Callable[[Tx, str, str], T], tx: Tx, project: str, name: str) -> T | None:
    try:
        return named(tx, project, name)
    except NotFound:
        return None


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
    places = []
    for job in (jobs.with_id(tx, job_id) for job_id in ids):
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
        Role.OPERATOR,
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
        Role.OPERATOR,
        body=PipelinePatch,
        answer=PipelineAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{pl}",
        "Delete a pipeline; its components stay",
        delete_pipeline,
        Role.OPERATOR,
        query=Confirm,
        status=204,
    ),
)
