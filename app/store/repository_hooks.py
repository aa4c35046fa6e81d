"""Webhooks at the forges of a project's repositories: which there are, and what the last look at them found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, select

from app.store.database import Tx, touch
from app.store.schema import DeliveryRow, ProjectRow, RepositoryHookRow, SourceRow

LOOKED_THROUGH = 1000  # of the newest deliveries
SECRET_CHANGED = "The webhook secret has changed since: register the webhook again."  # noqa: S105 - a sentence


@dataclass(frozen=True)
class RepositoryHook:
    """`problem` is empty for one that is in order; `said` is what the forge tells of its last delivery."""

    repo_key: str
    hook_id: str
    address: str
    problem: str
    said: str
    checked_at: datetime


@dataclass(frozen=True)
class LastCalls:
    """When the forge last called about a repository: a push, and a ping."""

    push_at: datetime | None = None
    push_status: str = ""
    ping_at: datetime | None = None


def repositories(tx: Tx, project_id: int) -> Sequence[tuple[str, str]]:
    """The repositories of a project's sources that are on a host: key and address of each, by name."""
    query = select(SourceRow.repo_key, SourceRow.url).where(SourceRow.project_id == project_id)
    found = dict(tx.exec(query.order_by(col(SourceRow.id).desc())).all())
    return sorted((key, url) for key, url in found.items() if not key.startswith("file:"))


def of_project(tx: Tx, project_id: int) -> dict[str, RepositoryHook]:
    """By the repository's key."""
    rows = tx.exec(select(RepositoryHookRow).where(RepositoryHookRow.project_id == project_id))
    return {row.repo_key: _value(row) for row in rows}


def save(tx: Tx, project_id: int, found: RepositoryHook) -> None:
    query = select(RepositoryHookRow).where(
        RepositoryHookRow.project_id == project_id, RepositoryHookRow.repo_key == found.repo_key
    )
    row = tx.exec(query).first() or RepositoryHookRow(project_id=project_id, repo_key=found.repo_key)
    row.hook_id, row.address, row.problem = found.hook_id, found.address, found.problem
    row.said, row.checked_at = found.said, found.checked_at
    tx.add(row)
    tx.flush()
    touch(tx, "projects")


def outdate(tx: Tx, project_id: int) -> None:
    """The project's secret is another, which the forges don't know yet."""
    known = update(RepositoryHookRow).where(
        col(RepositoryHookRow.project_id) == project_id, col(RepositoryHookRow.hook_id) != ""
    )
    tx.connection().execute(known.values(problem=SECRET_CHANGED))


def in_trouble(tx: Tx) -> Sequence[tuple[str, RepositoryHook]]:
    """Those of which something is wrong, each with its project's name."""
    query = (
        select(ProjectRow.name, RepositoryHookRow)
        .join(ProjectRow, col(ProjectRow.id) == col(RepositoryHookRow.project_id))
        .where(col(RepositoryHookRow.problem) != "")
        .order_by(col(ProjectRow.name), col(RepositoryHookRow.repo_key))
    )
    return [(project, _value(row)) for project, row in tx.exec(query)]


def last_calls(tx: Tx, repo_keys: Sequence[str]) -> dict[str, LastCalls]:
    """The last calls about each repository, as far as the newest deliveries tell: by its name at the forge."""
    columns = (DeliveryRow.repository, DeliveryRow.event, DeliveryRow.status, DeliveryRow.received_at)
    newest = tx.exec(select(*columns).order_by(col(DeliveryRow.id).desc()).limit(LOOKED_THROUGH)).all()
    names = {key.partition("/")[2].lower(): key for key in repo_keys}
    found: dict[str, LastCalls] = {}
    for repository, event, status, received_at in newest:
        key = names.get(repository.lower(), "")
        known = found.get(key, LastCalls())
        if key and event == "push" and known.push_at is None:
            found[key] = replace(known, push_at=received_at, push_status=status)
        if key and event == "ping" and known.ping_at is None:
            found[key] = replace(known, ping_at=received_at)
    return found


def _value(row: RepositoryHookRow) -> RepositoryHook:
    return RepositoryHook(row.repo_key, row.hook_id, row.address, row.problem, row.said, row.checked_at)
