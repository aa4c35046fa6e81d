"""How many bytes the logs of each project take, kept in the rows of its runs and builds: no disk is looked at.

A run or build whose log was dropped has 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, literal_column, update
from sqlalchemy import select as select_columns
from sqlmodel import col, select

from app.domain.plans import MIB
from app.domain.retention import Kind
from app.store.database import Tx, quotas_of
from app.store.quotas import limits_of
from app.store.schema import BuildRow, ProjectRow, RunRow

_NONE: Any = literal_column("0")  # as the index of those that have a log says it
TABLES: dict[Kind, Any] = {Kind.RUNS: RunRow, Kind.BUILDS: BuildRow}


class KeptLog(NamedTuple):
    """The log of a run or build that is over."""

    kind: Kind
    id: int
    bytes: int
    ended_at: datetime


def measured(tx: Tx, kind: Kind, id_: int, size: int) -> None:
    """Save what the log of a run or build takes, with its metrics."""
    table = TABLES[kind]
    tx.connection().execute(update(table).where(col(table.id) == id_).values(log_bytes=size))


def total(tx: Tx, project_id: int) -> int:
    """The bytes that the logs of a project take."""
    return sum(
        tx.connection()
        .execute(
            select_columns(func.coalesce(func.sum(table.log_bytes), 0)).where(
                col(table.project_id) == project_id, col(table.log_bytes) > _NONE
            )
        )
        .scalar_one()
        for table in TABLES.values()
    )


def beyond_limit(tx: Tx) -> dict[int, int]:
    """By how many bytes the logs of projects exceed what they may take, by the projects' ids."""
    limited = select(ProjectRow.id)
    if not quotas_of(tx).defaults.log_mb:
        limited = limited.where(col(ProjectRow.limits).is_not(None))
    most = {id_: limits.log_mb * MIB for id_, limits in limits_of(tx, tx.exec(limited).all()).items()}
    excess = {id_: total(tx, id_) - bytes_ for id_, bytes_ in most.items() if bytes_}
    return {id_: bytes_ for id_, bytes_ in excess.items() if bytes_ > 0}


def oldest(tx: Tx, project_id: int, kind: Kind, after: int, most: int) -> Sequence[KeptLog]:
    """Logs of a project's runs, or builds, that are over: those with the smallest ids beyond `after`."""
    table = TABLES[kind]
    query = (
        select(table.id, table.log_bytes, table.finished_at)
        .where(table.project_id == project_id, col(table.log_bytes) > _NONE, table.id > after)
        .where(col(table.finished_at).is_not(None))
        .order_by(col(table.id))
        .limit(most)
    )
    return [KeptLog(kind, id_, bytes_, ended_at) for id_, bytes_, ended_at in tx.exec(query)]
