"""Decisions, stored once per event and job."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import literal_column, tuple_
from sqlmodel import col, select

from app.domain.decisions import Decision, EventType, Inputs, Verdict
from app.domain.errors import NotFound
from app.domain.traces import Traced
from app.store import traces
from app.store.counts import happened
from app.store.database import Tx, touch
from app.store.schema import DecisionRow, JobRow, ProjectRow
from app.store.unreadable import newest, value_of

# In the words of the index that holds these alone.
NOTHING_STARTED = col(DecisionRow.verdict) != literal_column(f"'{Verdict.STARTED}'")
MISSED = col(DecisionRow.verdict) == literal_column(f"'{Verdict.MISSED}'")

SOON_AFTER = timedelta(minutes=1)  # a verdict comes a moment after what it is about


def record(
    tx: Tx,
    *,
    at: datetime,
    event: tuple[EventType, str | int],
    project_id: int,
    job_id: int | None,
    verdict: Verdict,
    rule: str,
    sentence: str,
    inputs: Inputs | None = None,
    build_id: int | None = None,
    run_id: int | None = None,
    deployment_id: int | None = None,
) -> int:
    """Store a verdict; returns its id. One for the same event and job must not exist (see `exists`)."""
    row = DecisionRow(
        at=at,
        event_type=event[0],
        event_id=str(event[1]),
        project_id=project_id,
        job_id=job_id,
        verdict=verdict,
        rule=rule,
        sentence=sentence,
        inputs=dict(inputs or {}),
        build_id=build_id,
        run_id=run_id,
        deployment_id=deployment_id,
    )
    tx.add(row)
    tx.flush()
    happened(tx, "decision", verdict, rule)
    if event[0] is not EventType.SCHEDULE:
        traces.note(tx, Traced.DECISION, row.id, at)
    touch(tx, "decisions", *([f"job:{job_id}"] if job_id else []))
    return row.id


def with_id(tx: Tx, decision_id: int) -> Decision:
    query = decisions_query().where(DecisionRow.id == decision_id)
    found = tx.exec(query).first()
    if found is None:
        raise NotFound(f"There is no decision {decision_id}.")
    return value_of(tx, decision_value, found)


def exists(tx: Tx, event: tuple[EventType, str | int], job_id: int) -> bool:
    query = select(DecisionRow.id).where(
        DecisionRow.event_type == event[0],
        DecisionRow.event_id == str(event[1]),
        DecisionRow.job_id == job_id,
    )
    return tx.exec(query).first() is not None


def page(
    tx: Tx,
    *,
    limit: int,
    before: int | None = None,
    project_id: int | None = None,
    job_id: int | None = None,
    run_id: int | None = None,
    build_id: int | None = None,
    event: tuple[EventType, str | int] | None = None,
    event_type: EventType | None = None,
    pushes: Sequence[str] = (),
    verdicts: Sequence[Verdict] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> Sequence[Decision]:
    """Decisions that match everything given, newest first; `pushes` are event ids of deliveries."""
    query = decisions_query()
    wanted = {
        "project_id": project_id,
        "job_id": job_id,
        "run_id": run_id,
        "build_id": build_id,
        "event_type": event[0] if event else event_type,
        "event_id": event and str(event[1]),
    }
    for name, value in wanted.items():
        if value is not None:
            query = query.where(getattr(DecisionRow, name) == value)
    if pushes:
        query = query.where(DecisionRow.event_type == EventType.PUSH, col(DecisionRow.event_id).in_(pushes))
    if verdicts:
        query = query.where(col(DecisionRow.verdict).in_(list(verdicts)))
        if Verdict.STARTED not in verdicts:
            query = query.where(NOTHING_STARTED)
    if since is not None:
        query = query.where(col(DecisionRow.at) >= since)
    if until is not None:
        query = query.where(col(DecisionRow.at) <= until)
    return newest(tx, lambda before: _older(query, before), decision_value, limit, before)


def _older(query: Any, before: int | None) -> Any:
    """The decisions of a query, newest first: all, or those made before the one with that id."""
    query = query.order_by(col(DecisionRow.at).desc(), col(DecisionRow.id).desc())
    if before is None:
        return query
    return query.where(tuple_(DecisionRow.at, DecisionRow.id) < _place_of(before))


def _place_of(decision_id: int) -> Any:
    return select(DecisionRow.at, DecisionRow.id).where(DecisionRow.id == decision_id).scalar_subquery()


def answering(tx: Tx, job_id: int, at: datetime | None, limit: int) -> list[Decision]:
    """What tells why a job did or did not run at a moment, the likeliest first; the latest if none is given."""
    until = None if at is None else at + SOON_AFTER
    missed = None if until is None else missed_over(tx, job_id, until)
    return [*([] if missed is None else [missed]), *page(tx, limit=limit, job_id=job_id, until=until)]


def missed(
    tx: Tx, since: datetime, limit: int, within: Set[int] | None, *, project: str = "", named: str = ""
) -> Sequence[Decision]:
    """Scheduled times that passed without a run since then, newest first; `named` is a part of the jobs' names."""
    query = decisions_query().where(MISSED, col(DecisionRow.at) >= since)
    if within is not None:
        query = query.where(col(DecisionRow.project_id).in_(within))
    if project:
        query = query.where(col(ProjectRow.name) == project)
    if named:
        query = query.where(col(JobRow.name).contains(named.lower(), autoescape=True))
    return newest(tx, lambda before: _older(query, before), decision_value, limit, None)


def missed_over(tx: Tx, job_id: int, at: datetime) -> Decision | None:
    """The decision about a gap of missed scheduled times that `at` lies in; it was made after the gap."""
    query = (
        decisions_query()
        .where(DecisionRow.job_id == job_id, col(DecisionRow.at) > at)
        .where(DecisionRow.verdict == Verdict.MISSED, NOTHING_STARTED)
        .order_by(col(DecisionRow.at), col(DecisionRow.id))
        .limit(1)
    )
    found = tx.exec(query).first()
    if found is None:
        return None
    decision = value_of(tx, decision_value, found)
    begins = datetime.fromisoformat(str(decision.inputs["missed_from"]))
    return decision if begins <= at else None


def decisions_query() -> Any:
    return (
        select(DecisionRow, ProjectRow.name, JobRow.name)
        .join(ProjectRow, col(ProjectRow.id) == col(DecisionRow.project_id))
        .outerjoin(JobRow, col(JobRow.id) == col(DecisionRow.job_id))
    )


def decision_value(row: DecisionRow, project: str, job: str | None) -> Decision:
    return Decision(
        id=row.id,
        at=row.at,
        event_type=EventType(row.event_type),
        event_id=row.event_id,
        project_id=row.project_id,
        project=project,
        job_id=row.job_id,
        job=job,
        verdict=Verdict(row.verdict),
        rule=row.rule,
        sentence=row.sentence,
        inputs=row.inputs,
        build_id=row.build_id,
        run_id=row.run_id,
        deployment_id=row.deployment_id,
    )
