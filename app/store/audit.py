"""Entries of the audit log: added, read, and removed once they are older than they are kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert
from sqlmodel import col, select

from app.domain.audit import Action, Actor, Entry, Kind, Outcome, Subject
from app.store.database import Tx
from app.store.schema import AuditRow


@dataclass(frozen=True)
class Wanted:
    """Which entries: by whom, of which action (or, as `job`, of all with a type), of a project by name, from `since` on
    and before `until`, about things of a name.

    `projects` are the ids of those whose entries may be read; None stands for all, and for what is of no project.
    """

    who: str | None = None
    action: str | None = None
    project: str | None = None
    since: datetime | None = None
    projects: Collection[int] | None = None
    until: datetime | None = None
    about: str | None = None


def add(tx: Tx, entry: Entry) -> int:
    """Add an entry; returns its id."""
    added = tx.connection().execute(insert(AuditRow).values(_values(entry)).returning(col(AuditRow.id)))
    id_: int = added.scalar_one()
    return id_


def find(tx: Tx, id_: int) -> Entry | None:
    """None for one that is removed, as it was too old."""
    row = tx.get(AuditRow, id_)
    return None if row is None else _entry(row)


def page(tx: Tx, wanted: Wanted, limit: int, before: int | None = None) -> Sequence[Entry]:
    """The newest first."""
    query = select(AuditRow).order_by(col(AuditRow.id).desc()).limit(limit)
    if before is not None:
        query = query.where(col(AuditRow.id) < before)
    return [_entry(row) for row in tx.exec(query.where(*_guards(wanted)))]


def remove_before(tx: Tx, cutoff: datetime, most: int) -> int:
    """Remove the oldest of the entries that are older, at most so many; returns how many went."""
    old = select(AuditRow.id).where(col(AuditRow.at) < cutoff).order_by(col(AuditRow.at)).limit(most)
    ids = list(tx.exec(old))
    removed: int = tx.connection().execute(delete(AuditRow).where(col(AuditRow.id).in_(ids))).rowcount
    return removed


def _guards(wanted: Wanted) -> list[Any]:
    guards: list[Any] = []
    if wanted.who:
        guards.append(AuditRow.who == wanted.who)
    if wanted.action:
        guards.append(
            AuditRow.action == wanted.action
            if "." in wanted.action
            else col(AuditRow.action).startswith(f"{wanted.action}.", autoescape=True)
        )
    if wanted.project:
        guards.append(AuditRow.project == wanted.project)
    if wanted.since:
        guards.append(col(AuditRow.at) >= wanted.since)
    if wanted.until:
        guards.append(col(AuditRow.at) < wanted.until)
    if wanted.about:
        guards.append(AuditRow.about_name == wanted.about)
    if wanted.projects is not None:
        guards.append(col(AuditRow.project_id).in_(wanted.projects))
    return guards


def _values(entry: Entry) -> dict[str, object]:
    actor, subject = entry.actor, entry.subject
    return {
        "at": entry.at,
        "who": actor.name,
        "who_kind": actor.kind.value,
        "who_id": actor.id,
        "address": actor.address,
        "action": entry.action.value,
        "about_type": subject.type,
        "about_id": subject.id,
        "about_name": subject.name,
        "project_id": subject.project_id,
        "project": subject.project,
        "changes": entry.changes,
        "detail": entry.detail,
        "times": entry.times,
        "request_id": entry.request_id,
        "outcome": entry.outcome.value,
    }


def _entry(row: AuditRow) -> Entry:
    return Entry(
        at=row.at,
        actor=Actor(row.who, Kind(row.who_kind), row.who_id, row.address),
        action=Action(row.action),
        subject=Subject(row.about_type, row.about_id, row.about_name, row.project_id, row.project),
        outcome=Outcome(row.outcome),
        changes=row.changes,
        detail=row.detail,
        times=row.times,
        request_id=row.request_id,
        id=row.id,
    )
