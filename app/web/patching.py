"""Patches of what is stored: merged into its form, which is then validated as a whole."""

from __future__ import annotations

from app.commands.jobs import require_same_type
from app.commands.secret_groups import SecretGroupDraft
from app.domain.documents import Json
from app.domain.errors import InvalidValue
from app.domain.flow_codec import shown_steps
from app.domain.job.codec import shown_job, source_to_json
from app.domain.job.drafts import BuildServiceDraft, JobDraft
from app.domain.job.records import Job
from app.domain.job.spec import GitSource
from app.store import jobs
from app.store.build_services import BuildService
from app.store.database import Tx
from app.store.flows import Flow
from app.store.projects import Project
from app.store.secret_groups import SecretGroup
from app.web.form_rules import FormRules
from app.web.reading import read_value
from app.web.schemas import build_service, secret_group
from app.web.schemas.drafts import job_draft, service_draft
from app.web.schemas.flow import READ_ONLY as FLOW_READ_ONLY
from app.web.schemas.flow import FlowForm
from app.web.schemas.job import READ_ONLY, JobForm
from app.web.schemas.variables import merged_entry


def patched_job(job: Job, patch: Json, rules: FormRules) -> JobDraft:
    """The job with a patch merged in. Raises InvalidValue or ValidationError."""
    require_changeable(patch, job.name, READ_ONLY)
    source = patch.get("source")
    if isinstance(source, dict):
        require_same_type(job, source.get("type", job.spec.source.type))
    return job_draft(read_value(JobForm, merge_patch(shown_job(job.spec), patch), rules))


def patched_service(service: BuildService, patch: Json, rules: FormRules) -> BuildServiceDraft:
    """The build service with a patch merged in. Raises InvalidValue or ValidationError."""
    require_changeable(patch, service.name, build_service.READ_ONLY)
    merged = merge_patch(shown_service(service), patch)
    return service_draft(read_value(build_service.BuildServiceForm, merged, rules))


def shown_service(service: BuildService) -> Json:
    """What is stored as it could be given again; the webhook secret is left out, which keeps it."""
    source = service.source
    shown = source_to_json(GitSource(source.url, source.branch, service.credential, source.build))
    return {
        "name": service.name,
        "git": shown["git"],
        "build": shown["build"],
        "ci_enabled": source.ci_enabled,
        "builds_in_flight": source.builds_in_flight.value,
        "config_file": source.config_file,
    }


def job_and_draft(tx: Tx, project: Project, fields: Json, rules: FormRules) -> tuple[Job | None, JobDraft]:
    """The job that fields name, which may be a new one (None), and what giving them makes of it.

    Raises InvalidValue or ValidationError.
    """
    job = jobs.find(tx, project.name, str(fields.get("name")))
    if job is None:
        return None, job_draft(read_value(JobForm, dict(fields), rules))
    return job, patched_job(job, fields, rules)


def patched_group(group: SecretGroup, patch: Json, rules: FormRules) -> SecretGroupDraft:
    """The secret group with a patch merged in. Raises InvalidValue or ValidationError."""
    require_changeable(patch, group.name, secret_group.READ_ONLY)
    merged = merge_patch(secret_group.shown_group(group), patch)
    return read_value(secret_group.SecretGroupForm, merged, rules).draft()


def shown_flow(flow: Flow) -> Json:
    """What is stored as it could be given again."""
    return {
        "name": flow.name,
        "nodes": shown_steps(flow.steps),
        "concurrency": flow.concurrency.value,
        "on_push": flow.push_job,
    }


def patched_flow(flow: Flow, patch: Json, rules: FormRules) -> FlowForm:
    """The flow with a patch merged in. Raises InvalidValue or ValidationError."""
    require_changeable(patch, flow.name, FLOW_READ_ONLY)
    return read_value(FlowForm, merge_patch(shown_flow(flow), patch), rules)


def require_changeable(patch: Json, name: str, read_only: frozenset[str]) -> None:
    """Raises InvalidValue for a patch of what can't be changed: the name, and what is only ever shown."""
    for field in patch:
        if field in read_only:
            raise InvalidValue(field, f"{field} is read-only: leave it out.")
    if patch.get("name", name) != name:
        raise InvalidValue("name", f"name can't be changed: it stays {name}.")


def merge_patch(base: Json, patch: Json) -> Json:
    """`base` with `patch` on top: objects are merged, anything else is replaced; null deletes from `env`."""
    merged = {**base}
    for name, given in patch.items():
        known = merged.get(name)
        if name == "env" and isinstance(given, dict) and isinstance(known, dict):
            merged[name] = _merge_env(known, given)
        elif isinstance(given, dict) and isinstance(known, dict):
            merged[name] = merge_patch(known, given)
        else:
            merged[name] = given
    return merged


def _merge_env(base: Json, patch: Json) -> Json:
    merged = {**base}
    for name, given in patch.items():
        known = merged.pop(name, None)
        if given is None:
            continue
        merged[name] = given
        if isinstance(known, dict):
            change = {"value": given} if isinstance(given, str) else given
            merged[name] = merged_entry(known, change) if isinstance(change, dict) else change
    return merged
