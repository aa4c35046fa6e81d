"""What is over and has to be told as spans: noted in the transaction that ends it, gone once it was taken.

Only databases of servers that tell somebody are noted in. What nobody takes for long is dropped, the oldest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, update
from sqlmodel import col, select

from app.domain.build_parts import trigger_from_json
from app.domain.decisions import EventType
from app.domain.traces import Traced, delivery_above, span_id
from app.store.bulk import table_of
from app.store.database import Tx, bulk, is_traced, touch
from app.store.schema import BuildRow, DecisionRow, DeploymentStepRow, DueSpanRow

TOPIC = "spans"
MOST = 20_000  # that wait
OF_PUSHES = (EventType.PUSH, EventType.FILE)
TABLE = table_of(DueSpanRow)


def note(tx: Tx, kind: Traced, subject_id: int, at: datetime) -> None:
    if is_traced(tx):
        held = bulk(tx)
        held.insert(TABLE, ("kind", "subject_id", "due_at"), [(kind.value, subject_id, at)])
        held.cursor.close()
        touch(tx, TOPIC)


def due_at(tx: Tx) -> datetime | None:
    return tx.exec(select(func.min(DueSpanRow.due_at))).one()


def claim(tx: Tx, now: datetime, until: datetime, limit: int) -> Sequence[tuple[int, Traced, int]]:
    """Return what is due as its own id, its kind and its row's id: nobody else takes it before `until`."""
    due = select(DueSpanRow.id).where(col(DueSpanRow.due_at) <= now).order_by(col(DueSpanRow.id))
    first = due.limit(limit).with_for_update(skip_locked=True)
    taken = update(DueSpanRow).where(col(DueSpanRow.id).in_(first)).values(due_at=until)
    rows = tx.connection().execute(taken.returning(TABLE.c.id, TABLE.c.kind, TABLE.c.subject_id))
    return sorted((row.id, Traced(row.kind), row.subject_id) for row in rows)


def put_off(tx: Tx, ids: Sequence[int], until: datetime) -> int:
    """Have them told later; returns how many of the oldest are dropped, as too many wait."""
    tx.connection().execute(update(DueSpanRow).where(col(DueSpanRow.id).in_(ids)).values(due_at=until))
    newest = select(func.max(DueSpanRow.id)).scalar_subquery()
    return tx.connection().execute(delete(DueSpanRow).where(col(DueSpanRow.id) <= newest - MOST)).rowcount


def drop(tx: Tx, ids: Sequence[int]) -> None:
    tx.connection().execute(delete(DueSpanRow).where(col(DueSpanRow.id).in_(ids)))


def above(tx: Tx, span: str) -> str | None:
    """Return the span that another one belongs to; None for the first of a trace."""
    kind, _, key = span.partition("/")
    match Traced(kind):
        case Traced.DELIVERY:
            return delivery_above(key)
        case Traced.BUILD:
            return _above_build(tx, int(key))
        case Traced.DECISION:
            return _above_decision(tx, int(key))
        case Traced.RUN:
            return _above_run(tx, int(key))


def _above_build(tx: Tx, build_id: int) -> str | None:
    stored = tx.exec(select(BuildRow.trigger).where(BuildRow.id == build_id)).first()
    delivery = None if stored is None else trigger_from_json(stored).delivery
    return None if delivery is None else span_id(Traced.DELIVERY, delivery)


def _above_decision(tx: Tx, decision_id: int) -> str | None:
    row = tx.get(DecisionRow, decision_id)
    if row is None:
        return None
    if row.event_type in OF_PUSHES:
        return span_id(Traced.DELIVERY, row.event_id)
    build_id = row.event_id if row.event_type == EventType.BUILD else _build_of(tx, row.deployment_id)
    return None if build_id is None else span_id(Traced.BUILD, build_id)


def _build_of(tx: Tx, deployment_id: int | None) -> int | None:
    """Return the first build that a deployment waited for."""
    step = DeploymentStepRow
    query = select(step.build_id).where(step.deployment_id == deployment_id, col(step.build_id).is_not(None))
    return tx.exec(query.order_by(col(step.position)).limit(1)).first()


def _above_run(tx: Tx, run_id: int) -> str | None:
    """The first decision about it; those about schedules come by the thousand, and are no spans."""
    query = select(DecisionRow.id, DecisionRow.event_type).where(col(DecisionRow.run_id) == run_id)
    found = tx.exec(query.order_by(col(DecisionRow.id)).limit(1)).first()
    if found is None or found[1] == EventType.SCHEDULE:
        return None
    return span_id(Traced.DECISION, found[0])
