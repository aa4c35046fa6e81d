"""Jobs as people define, change and delete them: one set of rules, all or nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from app.commands import pausing
from app.commands.branch_tracking import follow_branch
from app.commands.held_fields import require_free
from app.commands.image_ownership import require_usable
from app.commands.runs import require_size
from app.commands.sources import credential_for, require_usable_build, source_settings
from app.commands.variables import require_usable_variables, seal_all
from app.domain.errors import Conflict, InvalidValue, require_consistent
from app.domain.hosts import registry_host
from app.domain.job import rules
from app.domain.job.drafts import JobDraft
from app.domain.job.records import Job, Source, SourceSettings
from app.domain.job.spec import BuildServiceSource, GitSource, ImageSource, JobSpec, NoSource
from app.domain.job.variables import Env
from app.domain.references import Ours
from app.domain.runs import RunStatus
from app.domain.sealing import Owner
from app.runtime.ports import Names, Vault
from app.store import apps, jobs, pipelines, projects, quotas, runs
from app.store.database import Tx
from app.store.identity import reserved_id
from app.store.projects import Project


def define_job(
    tx: Tx,
    project: Project,
    draft: JobDraft,
    *,
    names: Names,
    vault: Vault,
    ours: Ours,
    who: str,
    now: datetime,
) -> Job:
    """A new job. Raises Contradictions, InvalidValue or Conflict, and then nothing is made."""
    source = source_of(tx, project, draft, None, vault, ours)
    why = quotas.why_no_job(tx, project.id, project.name)
    if why is not None:
        raise Conflict(f"Job {draft.spec.name} is not made: {why}.")
    job_id = reserved_id(tx, "job")
    spec = sealed_spec(tx, draft, vault, Owner.job(project.id, job_id), {})
    job = jobs.create(tx, project.id, spec, source, now, job_id)
    pausing.record_held_work(tx, names, None, job, who=who, now=now)
    return job


def change_job(
    tx: Tx, job: Job, draft: JobDraft, *, names: Names, vault: Vault, ours: Ours, who: str, now: datetime
) -> Job:
    """The job as the draft has it. Raises Contradictions or InvalidValue, and then it stays as it was."""
    require_same_type(job, draft.spec.source.type)
    source = source_of(tx, projects.with_id(tx, job.project_id), draft, job.source, vault, ours)
    sealed = sealed_spec(tx, draft, vault, Owner.job(job.project_id, job.id), job.env)
    require_free(job, sealed)
    spec = replace(sealed, paused=job.paused)
    changed = jobs.redefine(tx, job.id, spec, source, now)
    pausing.record_held_work(tx, names, job, changed, who=who, now=now)
    if draft.spec.paused == job.paused:
        if job.cd_enabled:
            return changed
        why = f"CD switched on by {who}"
        return follow_branch(tx, names, changed, why=why, who=who, now=now)
    switch = pausing.pause if draft.spec.paused else pausing.resume  # which leave a decision
    return switch(tx, names, changed, who=who, now=now)


def require_same_type(job: Job, wanted: object) -> None:
    """Raises InvalidValue for a type of source that takes the place of another: only none gives way."""
    stays = job.spec.source.type
    if wanted != stays and not isinstance(job.spec.source, NoSource):
        message = f"source.type can't be changed: it stays {stays}. Make another job for another type."
        raise InvalidValue("source.type", message)


def remove_job(tx: Tx, job: Job, now: datetime) -> None:
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
    jobs.delete(tx, job.id, now)


def sealed_spec(tx: Tx, draft: JobDraft, vault: Vault, owner: Owner, stored: Env) -> JobSpec:
    """The specification with the draft's variables, as it is stored. Raises InvalidValue."""
    env = seal_all(tx, draft.env, vault, owner, stored)
    return replace(draft.spec, run=replace(draft.spec.run, env=env))


def source_of(
    tx: Tx, project: Project, draft: JobDraft, kept: Source | None, vault: Vault, ours: Ours
) -> SourceSettings | int | None:
    """What the job is built from: a source of its own, a build service by its id, or nothing.

    `kept` is what it is built from now. Raises Contradictions or InvalidValue for a draft that can't be stored.
    """
    require_consistent(rules.of_job(draft))
    require_size(tx, project.id, project.name, draft.spec.run)
    match draft.spec.source:
        case GitSource() as git:
            require_usable_variables(tx, ours, project.id, draft.env)
            require_usable_build(tx, ours, project, git.build, "source.build")
            return source_settings(
                tx,
                project,
                git,
                ci_enabled=draft.spec.ci_enabled,
                builds_in_flight=draft.spec.builds_in_flight,
                webhook_secret=draft.webhook_secret,
                kept=kept if kept is not None and kept.name is None else None,
                vault=vault,
                field="source.git",
            )
        case BuildServiceSource(build_service=name):
            return _service_id(tx, project, name, draft.branch)
        case ImageSource(image=image, credential=credential):
            require_usable(tx, ours, project.id, image, "source.image")
            credential_for(tx, project, credential, "registry", registry_host(image), "source.credential")
            return None
        case NoSource():
            return None


def _service_id(tx: Tx, project: Project, name: str, branch: str | None) -> int:
    service = jobs.build_service(tx, project.id, name)
    if service is None:
        raise InvalidValue(
            "source.build_service",
            f"source.build_service must name a build service of project {project.name}, not {name!r}.",
        )
    if branch not in (None, service.branch):
        raise InvalidValue(
            "source.branch",
            f"source.branch must be {service.branch}, the branch of build service {service.name},"
            f" not {branch!r}: leave it out, or name another build service.",
        )
    return service.id
