"""Transitions: one guarded change of one row.

A transition's guards say which status (and claim) the caller has seen. Where they don't hold any more, somebody else
was first: nothing changes, which is a normal answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func, literal, update
from sqlmodel import col

from app.domain.notifications import What
from app.domain.traces import Traced
from app.store import traces
from app.store.counts import happened
from app.store.database import Tx
from app.store.notices import note
from app.store.schema import BuildRow, DeploymentRow, DeploymentStepRow, FlowNodeRow, FlowRunRow, RunRow

Row = TypeVar("Row", BuildRow, RunRow, DeploymentRow, DeploymentStepRow, FlowRunRow, FlowNodeRow)


def move(tx: Tx, table: type[Row], row_id: int, *guards: ColumnElement[bool], **values: Any) -> Row | None:
    """Change a row, if the guards still hold: the row as it is now, or None where somebody else was first."""
    statement = update(table).where(col(table.id) == row_id, *guards).values(**values).returning(table)
    options = {"synchronize_session": False, "populate_existing": True}
    found: Row | None = tx.execute(statement, execution_options=options).scalar_one_or_none()
    if found is not None and "status" in values and "finished_at" in values:
        _count_end(tx, found)
        _note_end(tx, found)
    return found


def _note_end(tx: Tx, row: Row) -> None:
    """Have whoever wants to know told of it, later."""
    if isinstance(row, RunRow):
        note(tx, What.RUN_ENDED, row.project_id, row.id, row.job_id)
        traces.note(tx, Traced.RUN, row.id, row.finished_at or row.created_at)
    elif isinstance(row, BuildRow):
        note(tx, What.BUILD_ENDED, row.project_id, row.id)
        traces.note(tx, Traced.BUILD, row.id, row.finished_at or row.created_at)
    elif isinstance(row, DeploymentRow):
        note(tx, What.DEPLOYMENT_ENDED, row.project_id, row.id)


def _count_end(tx: Tx, row: Row) -> None:
    """Count what is over, by its outcome, with how long it had waited and how long it took."""
    if isinstance(row, DeploymentStepRow | FlowNodeRow) or row.finished_at is None:
        return
    started_at = row.first_started_at if isinstance(row, RunRow) else row.started_at
    seconds = {}
    if started_at is not None:
        seconds["waited"] = max((started_at - row.created_at).total_seconds(), 0.0)
        seconds["took"] = max((row.finished_at - started_at).total_seconds(), 0.0)
    reason = row.reason if isinstance(row, RunRow | BuildRow) else None
    happened(tx, str(row.__tablename__), row.status, reason or "", seconds=seconds)


def since(column: Any, now: datetime) -> ColumnElement[datetime]:
    """The value of a column of times that keeps what it says already, and says `now` if it is empty."""
    return func.coalesce(column, literal(now, column.type))
