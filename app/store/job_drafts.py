"""New jobs that somebody is still filling in. What is typed is sealed before it comes here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import col, select

from app.domain.errors import NotFound
from app.store.database import Tx
from app.store.identity import reserved_id
from app.store.schema import JobDraftRow

KEPT = 20  # of each person


def create(tx: Tx, owner: str, sealed: Callable[[int], str], now: datetime) -> int:
    """A draft of `owner`, whose content `sealed` gives for its id. Of each owner the latest few are kept."""
    draft_id = reserved_id(tx, "job_draft")
    tx.add(JobDraftRow(id=draft_id, owner=owner, content=sealed(draft_id), changed_at=now))
    tx.flush()
    own = col(JobDraftRow.owner) == owner
    newest = tx.exec(
        select(JobDraftRow.id)
        .where(own)
        .order_by(col(JobDraftRow.changed_at).desc(), col(JobDraftRow.id).desc())
        .limit(KEPT)
    )
    older = delete(JobDraftRow).where(own, col(JobDraftRow.id).not_in([*newest.all(), draft_id]))
    tx.connection().execute(older)
    return draft_id


def content(tx: Tx, draft_id: int, owner: str) -> str:
    """What is sealed of it. Raises NotFound for one that is not there, or somebody else's."""
    query = select(JobDraftRow.content).where(JobDraftRow.id == draft_id, JobDraftRow.owner == owner)
    found = tx.exec(query).first()
    if found is None:
        raise NotFound("There is no such draft of a job, or not for you: drafts are kept for some days.")
    return found


def change(tx: Tx, draft_id: int, owner: str, sealed: str, now: datetime) -> None:
    """Store another content. A draft that is gone meanwhile stays so."""
    own = update(JobDraftRow).where(col(JobDraftRow.id) == draft_id, col(JobDraftRow.owner) == owner)
    tx.connection().execute(own.values(content=sealed, changed_at=now))


def remove(tx: Tx, draft_id: int, owner: str) -> bool:
    """Returns whether it was still there: who removes it makes the job."""
    own = delete(JobDraftRow).where(col(JobDraftRow.id) == draft_id, col(JobDraftRow.owner) == owner)
    return tx.connection().execute(own).rowcount == 1


def sweep(tx: Tx, before: datetime) -> int:
    """Remove those that nobody has changed since then; returns how many."""
    old = delete(JobDraftRow).where(col(JobDraftRow.changed_at) < before)
    return tx.connection().execute(old).rowcount
