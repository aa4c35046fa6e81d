"""Attempts of runs and their containers: how they begin, go on and end, each with its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select

from app.domain.notifications import What
from app.domain.runs import (
    Again,
    Attempt,
    Container,
    Final,
    Outcome,
    Reason,
    Run,
    RunStatus,
    container_key,
    overruled,
)
from app.domain.runs import conclude as decide
from app.store.database import Tx, touch
from app.store.notices import note
from app.store.run_values import attempt_value, container_value, outcome_columns
from app.store.runs import QUEUED, image_columns, is_claimed, move_claimed, tell_who_awaits, with_id
from app.store.schema import AttemptRow, ContainerRow, RunRow
from app.store.transitions import since
from app.store.unreadable import values_of


def begin_attempt(tx: Tx, run: Run, now: datetime, epoch: str = "", engine: str = "") -> Attempt | None:
    """The next attempt of a running run with its image, and a container row per instance; None if the claim is void."""
    began = {"attempts": RunRow.attempts + 1, "active": 1, "updated_at": now, "available_at": now}
    began |= {"engine": engine or None}
    if move_claimed(tx, run, **image_columns(run), **began) is None:
        return None
    row = AttemptRow(
        run_id=run.id,
        number=run.attempts + 1,
        status=RunStatus.RUNNING,
        token=run.token,
        created_at=now,
    )
    tx.add(row)
    tx.flush()
    for instance in range(run.spec.instances):
        key = container_key(run.id, row.number, instance, epoch)
        tx.add(ContainerRow(attempt_id=row.id, instance=instance, key=key))
    return attempt_value(row)


def container_started(
    tx: Tx, run: Run, container: Container, handle: Mapping[str, str], now: datetime
) -> Run | None:
    """Save a handle and the start; the first start of the run starts its clock. The run as it is then, or None."""
    started_at, first_started_at = since(RunRow.started_at, now), since(RunRow.first_started_at, now)
    times = {"started_at": started_at, "first_started_at": first_started_at}
    started = move_claimed(tx, run, **times, awaited_build_id=None, sentence="", updated_at=now)
    if started is None:
        return None
    if started.first_started_at == now:
        note(tx, What.RUN_BEGAN, run.project_id, run.id, run.job_id)
    values = {"handle": dict(handle), "started_at": since(ContainerRow.started_at, now)}
    _change(tx, ContainerRow, container.id, **values)
    _change(tx, AttemptRow, container.attempt_id, started_at=since(AttemptRow.started_at, now))
    return started


def container_unhealthy(tx: Tx, run: Run, attempt: int, instance: int, sentence: str, now: datetime) -> None:
    """A health check says that the container has to end; how it ends changes nothing about that."""
    if move_claimed(tx, run, updated_at=now) is None:
        return
    of_attempt = select(AttemptRow.id).where(AttemptRow.run_id == run.id, AttemptRow.number == attempt)
    statement = (
        update(ContainerRow)
        .where(col(ContainerRow.attempt_id) == of_attempt.scalar_subquery())
        .where(col(ContainerRow.instance) == instance, col(ContainerRow.finished_at).is_(None))
        .values(reason=Reason.UNHEALTHY, sentence=sentence)
    )
    tx.connection().execute(statement)


def container_ended(
    tx: Tx, run: Run, container: Container, outcome: Outcome, finished_at: datetime
) -> Outcome | None:
    """Save how a container ended, as its run takes it: that end, or None if the claim is void."""
    if not is_claimed(tx, run):
        return None
    outcome = overruled(outcome, decide(with_id(tx, run.id), outcome, finished_at))
    _end(tx, container, outcome, finished_at)
    return outcome


def conclude(
    tx: Tx,
    run: Run,
    attempt: Attempt | None,
    outcome: Outcome,
    verdict: Final | Again,
    now: datetime,
    ended: Sequence[tuple[Container, Outcome]] = (),
) -> Run | None:
    """running → what `domain.runs.conclude` said, with the attempt settled: the run then, or None if the claim is void.

    An attempt that goes on is not over.
    `ended` are containers whose ends are not saved yet.
    """
    outcome = overruled(outcome, verdict)
    goes_on = isinstance(verdict, Again) and outcome.goes_on
    values: dict[str, object] = {"updated_at": now, "owner": None, "sentence": verdict.sentence}
    if outcome.goes_on:
        values |= {"interruptions": RunRow.interruptions + 1}
    if attempt is not None and not goes_on:
        values |= {"active": 0, "engine": None} | _counts(outcome)
    match verdict:
        case Again():
            values |= {"status": RunStatus.QUEUED, "available_at": verdict.available_at}
            if verdict.unanswered_since is not None:
                values |= {"tries": RunRow.tries + 1, "unanswered_since": verdict.unanswered_since}
            touch(tx, QUEUED)
        case Final():
            touch(tx, QUEUED)  # a run that must be alone may have waited for this end
            tell_who_awaits(tx, run)
            values |= {
                "status": verdict.status,
                "reason": verdict.reason,
                "finished_at": now,
                "exit_code": outcome.exit_code,
            }
    concluded = move_claimed(tx, run, **values)
    if concluded is None:
        return None
    for container, its_outcome in ended:
        _end(tx, container, overruled(its_outcome, verdict), now)
    if attempt is not None and not goes_on:
        _change(
            tx, AttemptRow, attempt.id, status=outcome.status, **outcome_columns(outcome), finished_at=now
        )
    return concluded


def _counts(outcome: Outcome) -> dict[str, object]:
    """Return the change that counts one more attempt that ended like this; a cancelled one is not counted."""
    match outcome.status:
        case RunStatus.SUCCEEDED:
            return {"succeeded": RunRow.succeeded + 1}
        case RunStatus.FAILED:
            return {"failed": RunRow.failed + 1}
        case _:
            return {}


def _end(tx: Tx, container: Container, outcome: Outcome, finished_at: datetime) -> None:
    _change(tx, ContainerRow, container.id, **outcome_columns(outcome), finished_at=finished_at)


def _change(tx: Tx, table: type[AttemptRow] | type[ContainerRow], row_id: int, **values: Any) -> None:
    tx.connection().execute(update(table).where(col(table.id) == row_id).values(**values))


def attempts_of(tx: Tx, run_id: int) -> Sequence[Attempt]:
    query = select(AttemptRow).where(AttemptRow.run_id == run_id).order_by(col(AttemptRow.number))
    return values_of(tx, attempt_value, tx.exec(query))


def containers_of(tx: Tx, attempt_id: int) -> Sequence[Container]:
    query = select(ContainerRow).where(ContainerRow.attempt_id == attempt_id)
    return values_of(tx, container_value, tx.exec(query.order_by(col(ContainerRow.instance))))
