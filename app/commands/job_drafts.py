"""New jobs that somebody is still filling in: kept sealed, as secrets are among what was typed, and of one person."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from app.commands.dry_run import DryRun, Effect
from app.commands.jobs import define_job
from app.domain.documents import Json
from app.domain.job.drafts import JobDraft
from app.domain.job.records import Job
from app.domain.principals import Principal
from app.domain.references import Ours
from app.domain.sealing import of_job_draft
from app.runtime.ports import Names, Vault
from app.store import job_drafts
from app.store.database import Database, Tx
from app.store.projects import Project


def owner_of(principal: Principal) -> str:
    """Whose drafts somebody finds again: those of the user or, without one, of the token they came by."""
    if principal.user_id is not None:
        return f"user {principal.user_id}"
    return "settings" if principal.token_id is None else f"token {principal.token_id}"


def begin(tx: Tx, vault: Vault, owner: str, content: Json, now: datetime) -> int:
    """A new draft; returns its id."""
    return job_drafts.create(tx, owner, lambda draft_id: _sealed(vault, draft_id, content), now)


def opened(tx: Tx, vault: Vault, draft_id: int, owner: str) -> Json:
    """What was typed. Raises NotFound for a draft that is not there, or somebody else's."""
    content: Json = json.loads(vault.open(job_drafts.content(tx, draft_id, owner), of_job_draft(draft_id)))
    return content


def keep(tx: Tx, vault: Vault, draft_id: int, owner: str, content: Json, now: datetime) -> None:
    """Store what was typed since."""
    job_drafts.change(tx, draft_id, owner, _sealed(vault, draft_id, content), now)


def _sealed(vault: Vault, draft_id: int, content: Json) -> str:
    return vault.seal(json.dumps(content), of_job_draft(draft_id))


@dataclass(frozen=True)
class Rehearsal:
    """What a job would be, and what the first push of a commit would do."""

    job: Job
    effects: list[Effect]


class _NotMade(Exception):
    """Ends the transaction in which a job is made to see what becomes of it."""


def rehearse(
    db: Database,
    dry_run: DryRun,
    project: Project,
    draft: JobDraft,
    sha: str | None,
    *,
    names: Names,
    vault: Vault,
    ours: Ours,
    who: str,
    now: datetime,
) -> Rehearsal:
    """Create the job, look what a push would do, and undo all of it. Raises as making it would."""
    found: Rehearsal | None = None
    try:
        with db.write() as tx:
            job = define_job(tx, project, draft, names=names, vault=vault, ours=ours, who=who, now=now)
            found = Rehearsal(job, dry_run.of_new_job(tx, job, sha))
            raise _NotMade
    except _NotMade:
        assert found is not None
        return found
