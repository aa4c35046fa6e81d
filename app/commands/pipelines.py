"""Pipelines as people define and change them: ordered stages, and the jobs and apps in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from app.domain.documents import Json
from app.domain.errors import Conflict, InvalidValue, NotFound
from app.domain.pipelines import Component, Pipeline, Stage
from app.store import apps, jobs, pipelines
from app.store.audit_recorder import told
from app.store.database import Tx
from app.store.projects import Project

T = TypeVar("T")


@dataclass(frozen=True)
class StageDraft:
    """A stage as somebody gives it; `components` are names of jobs and apps."""

    name: str
    components: Sequence[str] = ()


def define_pipeline(
    tx: Tx, project: Project, name: str, stages: Sequence[StageDraft], now: datetime
) -> Pipeline:
    """Make a pipeline. Raises InvalidValue, or Conflict for a name or a component that is taken."""
    pipeline_id = pipelines.create(tx, project.id, name, now)
    pipelines.set_stages(tx, pipeline_id, _stages(tx, project.name, stages, None))
    made = pipelines.named(tx, project.name, name)
    told({}, _told(made))
    return made


def change_pipeline(tx: Tx, pipeline: Pipeline, stages: Sequence[StageDraft]) -> Pipeline:
    """Take these stages in place of the pipeline's. Raises InvalidValue, or Conflict for a component that is taken."""
    pipelines.set_stages(tx, pipeline.id, _stages(tx, pipeline.project, stages, pipeline))
    changed = pipelines.named(tx, pipeline.project, pipeline.name)
    told(_told(pipeline), _told(changed))
    return changed


def remove_pipeline(tx: Tx, pipeline: Pipeline) -> None:
    """Delete a pipeline; its components stay as they are."""
    pipelines.delete(tx, pipeline.id)
    told(_told(pipeline), {})


def _told(pipeline: Pipeline) -> Json:
    """The stages as the audit log tells them: in order, and what is in each."""
    stages = pipeline.stages
    return {
        "stages": [stage.name for stage in stages],
        "components": {stage.name: [each.name for each in stage.components] for stage in stages},
    }


def _stages(tx: Tx, project: str, given: Sequence[StageDraft], kept: Pipeline | None) -> list[Stage]:
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
