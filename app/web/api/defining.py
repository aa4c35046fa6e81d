"""What defines, changes and deletes a job, for the API and the pages alike: one set of rules, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.commands import pausing
from app.commands.branch_tracking import follow_branch
from app.commands.dry_run import Stage, of_following
from app.domain.errors import Conflict
from app.domain.job.records import Job
from app.domain.job.spec import schedule_from_definition
from app.domain.runs import RunStatus
from app.domain.schedule import Schedule
from app.store import apps, jobs, pipelines, projects, runs
from app.store.database import Tx
from app.store.jobs import SourceFields
from app.store.projects import Project
from app.web.api.definitions import check, definition_of, form_of, patched, source_of
from app.web.reading import read_value
from app.web.schemas.job import JobForm
from app.web.schemas.run import shown_env
from app.web.server_context import ServerContext


def define(tx: Tx, server: ServerContext, project: Project, form: JobForm, who: str) -> Job:
    """A new job. Raises Contradictions, InvalidValue or Conflict, and then nothing is made."""
    source, now = source_of(tx, server, project, check(form), None), server.clock.now()
    job = jobs.create(tx, project.id, definition_of(form, server.vault, {}), source, now)
    pausing.tell_what_is_held(tx, server.names, None, job, who=who, now=now)
    return job


@dataclass(frozen=True)
class FieldChange:
    """A field of a job before and after; no value of a secret is in it, only that there is another."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Edit:
    """What defining or redefining a job would change; nothing is built or run by it.

    `deploy` is what becomes of its image where CD goes on again by it.
    """

    is_new: bool
    changes: list[FieldChange]
    next_fire_at: datetime | None
    deploy: Stage | None


def rehearse_edit(
    tx: Tx, server: ServerContext, project: Project, fields: Mapping[str, Any], who: str
) -> Edit:
    """What giving these fields would do to the job they name, which may be a new one. Raises as doing it would."""
    name = str(fields.get("name"))
    job = jobs.find(tx, project.name, name)
    if job is None:
        form, before = check(read_value(JobForm, dict(fields), server)), {}
    else:
        form, before = patched(job, fields, server), form_of(job)
    source = source_of(tx, server, project, form, None if job is None else job.source)
    stored = definition_of(form, server.vault, {} if job is None else job.definition["env"])
    after = {**stored, "env": shown_env(stored["env"])}
    changes = list(_changes(before, after, frozenset(_new_values(form))))
    schedule = schedule_from_definition(stored["schedule"])
    next_fire_at = None
    if schedule is not None and schedule.active and not stored["paused"]:
        next_fire_at = Schedule.parse(schedule.cron, schedule.time_zone).next_after(server.clock.now())
    deploy = None if job is None else of_following(tx, _edited(job, form, source), job, who)
    return Edit(job is None, changes, next_fire_at, deploy)


def _edited(job: Job, form: JobForm, source: SourceFields | int | None) -> Job:
    """The job as continuous delivery would see it after the edit."""
    of_its_own = job.source
    if of_its_own is not None and isinstance(source, Mapping):
        of_its_own = replace(of_its_own, branch=source["branch"], repo_key=source["repo_key"])
    return replace(job, cd_enabled=form.cd_enabled, paused=form.paused, source=of_its_own)


def _new_values(form: JobForm) -> Iterator[str]:
    """Secrets that a value is given for."""
    yield from (f"env.{name}" for name, entry in form.env.items() if entry.secret and entry.value is not None)
    if form.source.git is not None and form.source.git.webhook_secret is not None:
        yield "source.git.webhook_secret"


def _changes(before: Any, after: Any, new_values: frozenset[str], path: str = "") -> Iterator[FieldChange]:
    for name in dict.fromkeys([*before, *after]):
        field = f"{path}{name}"
        old, new = before.get(name), after.get(name)
        if isinstance(new, dict) and isinstance(old, dict | None) and not path.startswith("env."):
            yield from _changes(old or {}, new, new_values, f"{field}.")
        elif field in new_values:
            yield FieldChange(field, old and "a secret", "another secret" if old else "a secret")
        elif old != new:
            yield FieldChange(field, old, new)
    if path == "source.git." and "source.git.webhook_secret" in new_values:
        yield FieldChange("source.git.webhook_secret", None, "a secret")


def redefine(tx: Tx, server: ServerContext, job: Job, patch: Mapping[str, Any], who: str) -> Job:
    """The job with a patch merged in. Raises UserError or ValidationError, and then it stays as it was."""
    form, now = patched(job, patch, server), server.clock.now()
    project = projects.with_id(tx, job.project_id)
    source = source_of(tx, server, project, form, job.source)
    definition = {**definition_of(form, server.vault, job.definition["env"]), "paused": job.paused}
    changed = jobs.redefine(tx, job.id, definition, source, now)
    pausing.tell_what_is_held(tx, server.names, job, changed, who=who, now=now)
    if form.paused == job.paused:
        if job.cd_enabled:
            return changed
        why = f"CD switched on by {who}"
        return follow_branch(tx, server.names, changed, why=why, who=who, now=now)
    change = pausing.pause if form.paused else pausing.resume  # which leave a decision
    return change(tx, server.names, changed, who=who, now=now)


def remove(tx: Tx, server: ServerContext, job: Job) -> None:
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
    jobs.delete(tx, job.id, server.clock.now())
