"""What defines, changes and deletes a job, for the API and the pages alike: one set of rules, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.errors import Conflict
from app.domain.jobs import Job
from app.domain.runs import RunStatus
from app.store import apps, jobs, pipelines, projects, runs
from app.store.database import Tx
from app.store.projects import Project
from app.web.api.definitions import check, definition_of, patched, source_of
from app.web.api.forms.job import JobForm
from app.web.yard import Yard


def define(tx: Tx, yard: Yard, project: Project, form: JobForm) -> Job:
    """A new job. Raises Problem, InvalidValue or Conflict, and then nothing is made."""
    source = source_of(tx, yard, project, check(form), None)
    return jobs.create(tx, project.id, definition_of(form, yard.vault, {}), source, yard.clock.now())


def redefine(tx: Tx, yard: Yard, job: Job, patch: Mapping[str, Any]) -> Job:
    """The job with a patch merged in. Raises Problem, ValidationError or InvalidValue, and then it stays as it was."""
    form = patched(job, patch, yard)
    project = projects.with_id(tx, job.project_id)
    source = source_of(tx, yard, project, form, job.source)
    definition = definition_of(form, yard.vault, job.definition["env"])
    return jobs.redefine(tx, job.id, definition, source, yard.clock.now())


def remove(tx: Tx, yard: Yard, job: Job) -> None:
    """Delete a job. Raises Conflict while a run of it is not over, or an app or a pipeline has it."""
    going = runs.page(tx, limit=100, job_id=job.id, statuses=(RunStatus.QUEUED, RunStatus.RUNNING))
    if going:
        names = ", ".join(run.name for run in going[:3])
        raise Conflict(f"Job {job.name} has runs that are not over ({names}): cancel them first.")
    app = apps.of_job(tx, job.id)
    if app is not None:
        raise Conflict(f"Job {job.name} is in app {app.name}: take it out of the app first.")
    stage = pipelines.of_component(tx, "job", job.id)
    if stage is not None:
        raise Conflict(f"Job {job.name} is in stage {stage[1]} of pipeline {stage[0]}: take it out first.")
    jobs.delete(tx, job.id, yard.clock.now())
