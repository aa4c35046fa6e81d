"""Notices: something happened in a project that has a target which may be told of it.

Storing one is a single statement in the transaction of what happened, and stores nothing for a project without a
target. A loop makes notifications of them, in their order, and removes them in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Dialect, delete, exists, insert, literal
from sqlmodel import col, select

from app.domain.decisions import EventType
from app.domain.notifications import Kind, What
from app.store.bulk import PLACEHOLDERS
from app.store.database import Tx, bulk, touch
from app.store.schema import DecisionRow, NoticeRow, NotificationTargetRow

TOPIC = "notices"
CHUNK = 500


@dataclass(frozen=True)
class Notice:
    """`subject_id` is the id of a run, build, deployment, decision or alarm, as `what` says."""

    id: int
    project_id: int
    job_id: int | None
    what: What
    subject_id: int


def note(tx: Tx, what: What, project_id: int, subject_id: int, job_id: int | None = None) -> None:
    """Store that it happened, if the project has a target; of the begin of a run, if it has one for pings."""
    kind = Kind.PING if what is What.RUN_BEGAN else None
    held = bulk(tx)
    values = [project_id, job_id, what.value, subject_id, project_id, *([kind.value] if kind else [])]
    held.cursor.execute(_noting(held.dialect, of_kind=kind is not None), values)
    stored = held.cursor.rowcount
    held.cursor.close()
    if stored:
        touch(tx, TOPIC)


@cache
def _noting(dialect: Dialect, *, of_kind: bool) -> str:
    given = PLACEHOLDERS[dialect.paramstyle]
    columns = ", ".join(f"CAST({given} AS {type_})" for type_ in ("BIGINT", "BIGINT", "VARCHAR", "BIGINT"))
    has_target = f"SELECT 1 FROM notification_target WHERE project_id = {given}"  # noqa: S608
    if of_kind:
        has_target += f" AND kind = {given}"
    return f"INSERT INTO notice (project_id, job_id, what, subject_id) SELECT {columns} WHERE EXISTS ({has_target})"


def note_missed(tx: Tx, event_ids: Sequence[str]) -> None:
    """Store that scheduled times were missed, as the decisions with these events say, where a project has a target."""
    has_target = exists().where(col(NotificationTargetRow.project_id) == col(DecisionRow.project_id))
    for start in range(0, len(event_ids), CHUNK):
        missed = select(
            DecisionRow.project_id, DecisionRow.job_id, literal(What.MISSED.value), DecisionRow.id
        ).where(
            DecisionRow.event_type == EventType.SCHEDULE,
            col(DecisionRow.event_id).in_(event_ids[start : start + CHUNK]),
            has_target,
        )
        columns = ["project_id", "job_id", "what", "subject_id"]
        if tx.connection().execute(insert(NoticeRow).from_select(columns, missed)).rowcount:
            touch(tx, TOPIC)


def is_any(tx: Tx) -> bool:
    return tx.exec(select(NoticeRow.id).limit(1)).first() is not None


def take(tx: Tx, limit: int) -> Sequence[Notice]:
    """Remove the oldest notices and return them. Servers take turns until the end of their transactions."""
    rows = tx.exec(select(NoticeRow).order_by(col(NoticeRow.id)).limit(limit).with_for_update()).all()
    if rows:
        tx.connection().execute(delete(NoticeRow).where(col(NoticeRow.id).in_([row.id for row in rows])))
    return [Notice(row.id, row.project_id, row.job_id, What(row.what), row.subject_id) for row in rows]
