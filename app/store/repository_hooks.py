"""Webhooks at the forges of a project's repositories: which there are, and what the last look at them found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import delete, func, update
from sqlmodel import col, select

from app.store.database import Tx, touch
from app.store.schema import DeliveryRow, ProjectRow, RepositoryHookRow, SourceRow

LOOKED_THROUGH = 1000  # of the newest deliveries
SECRET_CHANGED = "The webhook secret has changed, and the forge is being told."  # noqa: S105 - a sentence
IN_ADDRESSES_ALONE = "scm/"  # where Bitbucket Data Center has its repositories, and not in their names
TOPIC = "repository_hooks"


@dataclass(frozen=True)
class RepositoryHook:
    """`problem` is empty for one that is in order; `said` is what the forge tells of its last delivery.

    `secret_version` grows with each change of the secret, `told_version` is that which the forge was told last, after
    so many `tries`.
    """

    repo_key: str
    hook_id: str
    address: str
    problem: str
    said: str
    checked_at: datetime
    secret_version: int = 0
    told_version: int = 0
    tries: int = 0

    @property
    def is_outdated(self) -> bool:
        """Whether the forge has another secret than there is here."""
        return self.told_version != self.secret_version


@dataclass(frozen=True)
class LastCalls:
    """When the forge last called about a repository: a push, and a ping."""

    push_at: datetime | None = None
    push_status: str = ""
    ping_at: datetime | None = None

    def is_after(self, at: datetime) -> bool:
        return any(each is not None and each > at for each in (self.push_at, self.ping_at))


def repositories(tx: Tx, project_id: int) -> Sequence[tuple[str, str]]:
    """The repositories of a project's sources that are on a host: key and address of each, by name."""
    query = select(SourceRow.repo_key, SourceRow.url).where(SourceRow.project_id == project_id)
    found = dict(tx.exec(query.order_by(col(SourceRow.id).desc())).all())
    return sorted((key, url) for key, url in found.items() if not key.startswith("file:"))


def of_project(tx: Tx, project_id: int) -> dict[str, RepositoryHook]:
    """By the repository's key."""
    rows = tx.exec(select(RepositoryHookRow).where(RepositoryHookRow.project_id == project_id))
    return {row.repo_key: _value(row) for row in rows}


def own_secrets(tx: Tx, project_id: int, repo_key: str) -> Sequence[tuple[int, str]]:
    """The sealed secrets of a repository's sources that have one of their own, each with the source's id."""
    query = select(SourceRow.id, SourceRow.webhook_secret).where(
        SourceRow.project_id == project_id,
        SourceRow.repo_key == repo_key,
        col(SourceRow.webhook_secret).is_not(None),
    )
    return [(source_id, sealed) for source_id, sealed in tx.exec(query) if sealed]


def save(tx: Tx, project_id: int, before: RepositoryHook, found: RepositoryHook, due_at: datetime) -> None:
    """Keep what was found, to be asked for again then; not if the secret has changed since `before` was read."""
    query = select(RepositoryHookRow).where(
        RepositoryHookRow.project_id == project_id, RepositoryHookRow.repo_key == found.repo_key
    )
    row = tx.exec(query.with_for_update()).first() or RepositoryHookRow(
        project_id=project_id, repo_key=found.repo_key
    )
    if row.secret_version != before.secret_version:
        return
    row.hook_id, row.address, row.problem = found.hook_id, found.address, found.problem
    row.said, row.checked_at = found.said, found.checked_at
    row.told_version, row.tries, row.due_at = found.told_version, found.tries, due_at
    tx.add(row)
    tx.flush()
    touch(tx, "projects")


def forget(tx: Tx, project_id: int, repo_key: str) -> None:
    """Nothing of the project has the repository any more."""
    gone = delete(RepositoryHookRow).where(
        col(RepositoryHookRow.project_id) == project_id, col(RepositoryHookRow.repo_key) == repo_key
    )
    tx.connection().execute(gone)
    touch(tx, "projects")


def outdate(tx: Tx, project_id: int, repo_key: str | None = None) -> None:
    """The secret of a repository, or of all of them, is another: its webhook's forge is to be told at once."""
    known = update(RepositoryHookRow).where(
        col(RepositoryHookRow.project_id) == project_id, col(RepositoryHookRow.hook_id) != ""
    )
    if repo_key is not None:
        known = known.where(col(RepositoryHookRow.repo_key) == repo_key)
    values = {
        "problem": SECRET_CHANGED,
        "secret_version": RepositoryHookRow.secret_version + 1,
        "due_at": RepositoryHookRow.checked_at,
        "tries": 0,
    }
    tx.connection().execute(known.values(values))
    touch(tx, TOPIC)


def ask_again(tx: Tx, project_id: int) -> None:
    """A credential of the project is another: what is amiss may be well by now."""
    amiss = update(RepositoryHookRow).where(
        col(RepositoryHookRow.project_id) == project_id, col(RepositoryHookRow.problem) != ""
    )
    tx.connection().execute(amiss.values(due_at=RepositoryHookRow.checked_at, tries=0))
    touch(tx, TOPIC)


def next_due_at(tx: Tx) -> datetime | None:
    """When the next webhook is to be looked after."""
    return tx.exec(select(func.min(RepositoryHookRow.due_at))).one()


def claim(tx: Tx, now: datetime, until: datetime) -> tuple[int, RepositoryHook] | None:
    """The webhook that is due longest, with its project's id; nobody else looks after it before `until`."""
    due = select(RepositoryHookRow).where(col(RepositoryHookRow.due_at) <= now)
    row = tx.exec(due.order_by(col(RepositoryHookRow.due_at), col(RepositoryHookRow.id)).limit(1)).first()
    if row is None:
        return None
    own = update(RepositoryHookRow).where(
        col(RepositoryHookRow.id) == row.id, col(RepositoryHookRow.due_at) == row.due_at
    )
    if not tx.connection().execute(own.values(due_at=until)).rowcount:
        return None
    return row.project_id, _value(row)


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
    names = {key.partition("/")[2].lower().removeprefix(IN_ADDRESSES_ALONE): key for key in repo_keys}
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
    return RepositoryHook(
        row.repo_key,
        row.hook_id,
        row.address,
        row.problem,
        row.said,
        row.checked_at,
        row.secret_version,
        row.told_version,
        row.tries,
    )
