"""Build services: sources with a name, which several jobs of a project share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlmodel import col, select

from app.domain.errors import Conflict, NotFound
from app.domain.job.records import Source, SourceSettings
from app.store.database import Tx, touch
from app.store.jobs import add_source, set_source, source_value
from app.store.schema import CredentialRow, JobRow, SourceRow
from app.store.unreadable import by_id, newest, value_of


@dataclass(frozen=True)
class BuildService:
    """`credential` and `jobs` are names."""

    source: Source
    name: str
    credential: str | None
    jobs: tuple[str, ...]
    created_at: datetime

    @property
    def id(self) -> int:
        return self.source.id

    @property
    def project_id(self) -> int:
        return self.source.project_id


def create(tx: Tx, project_id: int, name: str, settings: SourceSettings, now: datetime) -> BuildService:
    """Raises Conflict if the name is taken."""
    if tx.exec(_services(project_id).where(SourceRow.name == name)).first() is not None:
        raise Conflict(f"There is a build service named {name} in this project already.")
    row = add_source(tx, project_id, name, settings, now)
    touch(tx, "sources")
    return _value(tx, row)


def change(tx: Tx, service: BuildService, settings: SourceSettings) -> BuildService:
    """Replace its settings; what is built and deployed stays as it is."""
    row = tx.get_one(SourceRow, service.id)
    set_source(row, settings)
    tx.flush()
    touch(tx, "sources", "jobs")
    return _value(tx, row)


def delete(tx: Tx, service: BuildService) -> None:
    """Raises Conflict while jobs use it."""
    if service.jobs:
        names = ", ".join(service.jobs[:3]) + (" and others" if len(service.jobs) > 3 else "")
        raise Conflict(f"Build service {service.name} is in use by {names}: give these another source first.")
    tx.delete(tx.get_one(SourceRow, service.id))
    touch(tx, "sources")


def named(tx: Tx, project_id: int, name: str) -> BuildService:
    row = tx.exec(_services(project_id).where(SourceRow.name == name)).first()
    if row is None:
        raise NotFound(f"There is no build service named {name} in this project.")
    return value_of(tx, partial(_value, tx), row)


def page(tx: Tx, project_id: int, limit: int, before: int | None = None) -> Sequence[BuildService]:
    """Newest first."""
    services = by_id(_services(project_id), col(SourceRow.id))
    return newest(tx, services, partial(_value, tx), limit, before)


def _services(project_id: int) -> Any:
    return select(SourceRow).where(SourceRow.project_id == project_id, col(SourceRow.name).is_not(None))


def _value(tx: Tx, row: SourceRow) -> BuildService:
    assert row.name is not None
    users = select(JobRow.name).where(JobRow.source_id == row.id).order_by(col(JobRow.name))
    credential = None if row.credential_id is None else tx.get_one(CredentialRow, row.credential_id).name
    return BuildService(source_value(row), row.name, credential, tuple(tx.exec(users)), row.created_at)
