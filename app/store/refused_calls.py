"""Calls about a project's repositories that no secret of it signed. Anybody can make some: they are counted alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import col, select

from app.store.database import Tx, touch
from app.store.schema import ProjectRow, RefusedCallRow

KEPT = timedelta(days=7)  # after the last one
About = tuple[int, str]  # a project's id, and the key of a repository that it has


@dataclass(frozen=True)
class RefusedCalls:
    """How many there were since a time, and when the last one was."""

    calls: int
    since: datetime
    last_at: datetime

    def and_one(self, at: datetime) -> RefusedCalls:
        return RefusedCalls(self.calls + 1, self.since, at)

    @property
    def sentence(self) -> str:
        since, last_at = (f"{at:%Y-%m-%d %H:%M} UTC" for at in (self.since, self.last_at))
        number = "1 call" if self.calls == 1 else f"{self.calls:,} calls"
        return (
            f"{number} with a wrong signature since {since}, last at {last_at}: the webhook secret here and that at"
            " the forge have to be the same."
        )


def count(tx: Tx, found: Mapping[About, RefusedCalls]) -> None:
    """Add to what is known; a project that is gone by now has none."""
    there = set(tx.exec(select(ProjectRow.id).where(col(ProjectRow.id).in_([each for each, _ in found]))))
    for (project_id, repo_key), more in found.items():
        if project_id not in there:
            continue
        known = select(RefusedCallRow).where(
            RefusedCallRow.project_id == project_id, RefusedCallRow.repo_key == repo_key
        )
        row = tx.exec(known.with_for_update()).first() or RefusedCallRow(
            project_id=project_id, repo_key=repo_key, calls=0, since=more.since, last_at=more.last_at
        )
        row.calls, row.last_at = row.calls + more.calls, more.last_at
        tx.add(row)
    tx.flush()
    touch(tx, "projects")


def of_project(tx: Tx, project_id: int) -> Mapping[str, RefusedCalls]:
    """By the repository's key."""
    rows = tx.exec(select(RefusedCallRow).where(RefusedCallRow.project_id == project_id))
    return {row.repo_key: RefusedCalls(row.calls, row.since, row.last_at) for row in rows}


def of_all(tx: Tx) -> Sequence[tuple[str, str, RefusedCalls]]:
    """Of each project and repository."""
    query = (
        select(ProjectRow.name, RefusedCallRow)
        .join(ProjectRow, col(ProjectRow.id) == col(RefusedCallRow.project_id))
        .order_by(col(ProjectRow.name), col(RefusedCallRow.repo_key))
    )
    return [
        (name, row.repo_key, RefusedCalls(row.calls, row.since, row.last_at)) for name, row in tx.exec(query)
    ]


def forget(tx: Tx, project_id: int, repo_key: str | None = None) -> None:
    """The secret of one repository, or of all, is another: from here on it is counted anew."""
    gone = delete(RefusedCallRow).where(col(RefusedCallRow.project_id) == project_id)
    if repo_key is not None:
        gone = gone.where(col(RefusedCallRow.repo_key) == repo_key)
    tx.connection().execute(gone)


def sweep(tx: Tx, now: datetime) -> None:
    tx.connection().execute(delete(RefusedCallRow).where(col(RefusedCallRow.last_at) < now - KEPT))
