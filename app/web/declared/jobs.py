"""Jobs as a file declares them."""

from __future__ import annotations

from collections.abc import Sequence

from app.commands.job_warnings import warnings_of
from app.commands.jobs import change_job, define_job, remove_job
from app.domain.documents import Json
from app.domain.job.codec import shown_job
from app.domain.principals import Right
from app.store import jobs
from app.store.database import Tx
from app.store.projects import Project
from app.web.declared.kinds import PAGE, Kind, Scene, all_of
from app.web.patching import job_and_draft
from app.web.schemas.job import JobForm


def _names(tx: Tx, project: Project) -> list[str]:
    found = all_of(lambda before: jobs.page(tx, project_id=project.id, limit=PAGE, before=before))
    return [each.name for each in found]


def _shown(tx: Tx, project: Project, name: str) -> Json | None:
    found = jobs.find(tx, project.name, name)
    return None if found is None else shown_job(found.spec)


def _save(tx: Tx, scene: Scene, project: Project, fields: Json) -> Sequence[str]:
    job, draft = job_and_draft(tx, project, fields, scene.rules)
    names, vault, ours, who, now = scene.names, scene.vault, scene.ours, scene.who, scene.now
    if job is None:
        saved = define_job(tx, project, draft, names=names, vault=vault, ours=ours, who=who, now=now)
    else:
        saved = change_job(tx, job, draft, names=names, vault=vault, ours=ours, who=who, now=now)
    return warnings_of(saved, vault, project_has_secret=project.webhook_secret is not None)


def _remove(tx: Tx, scene: Scene, project: Project, name: str) -> None:
    remove_job(tx, jobs.named(tx, project.name, name), scene.now)


JOBS = Kind("jobs", "job", Right.CHANGE, JobForm, _names, _shown, _save, _remove)
