"""What defining or changing a job would do, shown before it is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.commands.dry_run import Stage, of_following
from app.commands.jobs import sealed_spec, source_of
from app.domain.fires import next_fire
from app.domain.job.codec import job_to_json, shown_env, shown_job
from app.domain.job.drafts import JobDraft
from app.domain.job.records import Job, SourceSettings
from app.domain.references import Ours
from app.domain.sealing import Owner
from app.runtime.ports import Vault
from app.store.database import Tx
from app.store.projects import Project


@dataclass(frozen=True)
class FieldChange:
    """A field of a job before and after; no value of a secret is in it, only that there is another."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Edit:
    """What defining or changing a job would change; nothing is built or run by it.

    `deploy` is what becomes of its image where CD goes on again by it.
    """

    is_new: bool
    changes: list[FieldChange]
    next_fire_at: datetime | None
    deploy: Stage | None


def preview_edit(
    tx: Tx,
    project: Project,
    job: Job | None,
    draft: JobDraft,
    *,
    vault: Vault,
    ours: Ours,
    who: str,
    now: datetime,
) -> Edit:
    """What the draft would do to the job, or (None) make. Raises as doing it would."""
    source = source_of(tx, project, draft, None if job is None else job.source, vault, ours)
    owner = Owner.job(project.id, 0 if job is None else job.id)
    spec = sealed_spec(tx, draft, vault, owner, {} if job is None else job.env)
    after = {**job_to_json(spec), "env": shown_env(spec.run.env)}
    before = {} if job is None else shown_job(job.spec)
    changes = list(_changes(before, after, frozenset(_new_secrets(draft))))
    next_fire_at = next_fire(spec.schedule, now, paused=spec.paused)
    deploy = None if job is None else of_following(tx, _edited(job, draft, source), job, who)
    return Edit(job is None, changes, next_fire_at, deploy)


def _edited(job: Job, draft: JobDraft, source: SourceSettings | int | None) -> Job:
    """The job as continuous delivery would see it after the edit."""
    of_its_own = job.source
    if of_its_own is not None and isinstance(source, SourceSettings):
        of_its_own = replace(of_its_own, branch=source.branch, repo_key=source.repo_key)
    spec = replace(job.spec, cd_enabled=draft.spec.cd_enabled, paused=draft.spec.paused)
    return replace(job, spec=spec, source=of_its_own)


def _new_secrets(draft: JobDraft) -> Iterator[str]:
    """The fields of secrets that a value is given for."""
    yield from (f"env.{name}" for name, each in draft.env.items() if each.secret and each.value is not None)
    if draft.webhook_secret is not None:
        yield "source.git.webhook_secret"


def _changes(before: Any, after: Any, new_secrets: frozenset[str], path: str = "") -> Iterator[FieldChange]:
    for name in dict.fromkeys([*before, *after]):
        field = f"{path}{name}"
        old, new = before.get(name), after.get(name)
        if isinstance(new, dict) and isinstance(old, dict | None) and not path.startswith("env."):
            yield from _changes(old or {}, new, new_secrets, f"{field}.")
        elif field in new_secrets:
            yield FieldChange(field, old and "a secret", "another secret" if old else "a secret")
        elif old != new:
            yield FieldChange(field, old, new)
    if path == "source.git." and "source.git.webhook_secret" in new_secrets:
        yield FieldChange("source.git.webhook_secret", None, "a secret")
