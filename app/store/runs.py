"""Runs, their attempts and containers: guarded transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, func, literal_column, or_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from app.domain.crashes import SUSPECTED_AFTER
from app.domain.errors import NotFound
from app.domain.job.spec import RunSpec
from app.domain.runs import (
    Again,
    Attempt,
    Cancel,
    Container,
    Final,
    Outcome,
    Reason,
    Run,
    RunStatus,
    Trigger,
    container_key,
    overruled,
)
from app.domain.runs import conclude as decide
from app.store.claims import (
    NOW,
    UNREADABLE,
    Claim,
    claim_next,
    claiming,
    is_held,
    next_due_at,
    readable,
    take_over,
)
from app.store.database import Tx, touch
from app.store.run_names import unlike_any
from app.store.run_values import attempt_value, container_value, run_value, runs_query
from app.store.schema import AttemptRow, ContainerRow, RunRow
from app.store.transitions import move, since
from app.store.unreadable import by_id, newest, value_of, values_of

OPEN = (RunStatus.QUEUED, RunStatus.RUNNING)
QUEUED = "queued:runs"  # the topic that workers listen to
ENDED = "ended:runs"  # of one that somebody awaits
STOPPING = "stopping:runs"  # the end of a running one was asked for


def enqueue(
    tx: Tx,
    *,
    name: str,
    project_id: int,
    job_id: int,
    trigger: Trigger,
    spec: RunSpec,
    now: datetime,
    overridden: Sequence[str] = (),
    image: str | None = None,
    digest: str | None = None,
    reference: str | None = None,
    build_id: int | None = None,
    sha: str | None = None,
    alone: bool = False,
) -> int:
    """A new queued run. `image` None means: whatever the job has when the run starts.

    `alone` keeps it waiting while older runs of the job are alive.
    """
    row = RunRow(
        name=name,
        project_id=project_id,
        job_id=job_id,
        status=RunStatus.QUEUED,
        trigger_type=trigger.type,
        trigger_by=trigger.by,
        scheduled_for=trigger.scheduled_for,
        cause=trigger.cause,
        effective=spec,
        alone=alone,
        overridden=list(overridden),
        image=image,
        digest=digest,
        reference=reference,
        build_id=build_id,
        sha=sha,
        available_at=now,
        created_at=now,
        updated_at=now,
    )
    _add(tx, row)
    _touch(tx, row.id, job_id)
    touch(tx, QUEUED)
    return row.id


def _add(tx: Tx, row: RunRow) -> None:
    """Insert a run; where another one has its name, by the chance of its suffix, with a number behind it."""
    try:
        with tx.begin_nested():
            tx.add(row)
    except IntegrityError:
        name = unlike_any(tx, row.name)
        if name == row.name:
            raise
        row.name = name
        _add(tx, row)


def is_open(run: type[RunRow]) -> ColumnElement[bool]:
    """In the words of the index that holds open runs alone."""
    return col(run.status).in_([literal_column(f"'{status}'") for status in OPEN])


_Older = aliased(RunRow)
_OLDER_IS_ALIVE = exists().where(
    col(_Older.job_id) == col(RunRow.job_id),
    is_open(_Older),
    col(_Older.status) == RunStatus.RUNNING,
    col(_Older.id) < col(RunRow.id),
)
_CLAIM = claiming(RunRow, col(RunRow.alone).is_(False) | ~_OLDER_IS_ALIVE, updated_at=NOW)


def claim(tx: Tx, owner: str, now: datetime) -> Run | None:
    """queued → running, for the run that has waited longest. One that must be alone waits for older ones' ends."""
    claimed = claim_next(tx, RunRow, _CLAIM, owner, now)
    if claimed is None:
        return None
    touch(tx, QUEUED)  # there may be more: the next worker looks
    failed = {"status": RunStatus.FAILED, "reason": Reason.ENGINE_FAILED, "sentence": UNREADABLE}
    for run in readable(tx, RunRow, [claimed], with_id, **failed, finished_at=now, active=0):
        _touch(tx, run.id, run.job_id)
        return run
    return None


def due_at(tx: Tx) -> datetime | None:
    return next_due_at(tx, RunRow)


def taken_over(tx: Tx, owner: str, in_hand: Set[Claim], suspect: int | None = None) -> Sequence[Run]:
    """Running runs that nobody works on, now this server's to go on with; of those under suspicion only one."""
    may_go_on = or_(col(RunRow.deaths) < SUSPECTED_AFTER, col(RunRow.id) == suspect)
    taken = take_over(tx, RunRow, owner, in_hand, may_go_on)
    return readable(tx, RunRow, taken, with_id, status=RunStatus.QUEUED)


def fix_image(tx: Tx, run: Run, now: datetime) -> Run | None:
    """Save what a running run is about to execute; its attempts keep it."""
    return _move(tx, run, **_image(run), updated_at=now)


def say(tx: Tx, run: Run, sentence: str, now: datetime) -> Run | None:
    """Why a running run does not go on yet; until a container of it has started."""
    return _move(tx, run, sentence=sentence, updated_at=now)


def _image(run: Run) -> dict[str, object]:
    fields = ("image", "digest", "reference", "build_id", "sha")
    return {name: getattr(run, name) for name in fields}


def begin_attempt(tx: Tx, run: Run, now: datetime, epoch: str = "") -> Attempt | None:
    """The next attempt of a running run with its image, and a container row per instance; None if the claim is void."""
    began = {"attempts": RunRow.attempts + 1, "active": 1, "updated_at": now, "available_at": now}
    if _move(tx, run, **_image(run), **began) is None:
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
    started = _move(tx, run, **times, awaited_build_id=None, sentence="", updated_at=now)
    if started is None:
        return None
    values = {"handle": dict(handle), "started_at": since(ContainerRow.started_at, now)}
    _change(tx, ContainerRow, container.id, **values)
    _change(tx, AttemptRow, container.attempt_id, started_at=since(AttemptRow.started_at, now))
    return started


def _change(tx: Tx, table: type[AttemptRow] | type[ContainerRow], row_id: int, **values: Any) -> None:
    tx.connection().execute(update(table).where(col(table.id) == row_id).values(**values))


def container_unhealthy(tx: Tx, run: Run, attempt: int, instance: int, sentence: str, now: datetime) -> None:
    """A health check says that the container has to end; how it ends changes nothing about that."""
    if _move(tx, run, updated_at=now) is None:
        return
    of_attempt = select(AttemptRow.id).where(AttemptRow.run_id == run.id, AttemptRow.number == attempt)
    statement = (
        update(ContainerRow)
        .where(col(ContainerRow.attempt_id) == of_attempt.scalar_subquery())
        .where(col(ContainerRow.instance) == instance, col(ContainerRow.finished_at).is_(None))
        .values(reason=Reason.UNHEALTHY, sentence=sentence)
    )
    tx.connection().execute(statement)


def is_claimed(tx: Tx, run: Run) -> bool:
    """Whether a running run is still this claim's."""
    query = select(RunRow.id).where(
        RunRow.id == run.id, RunRow.status == RunStatus.RUNNING, RunRow.token == run.token
    )
    return tx.exec(query).first() is not None


def container_ended(
    tx: Tx, run: Run, container: Container, outcome: Outcome, finished_at: datetime
) -> Outcome | None:
    """Save how a container ended, as its run takes it: that end, or None if the claim is void."""
    if not is_claimed(tx, run):
        return None
    outcome = overruled(outcome, decide(with_id(tx, run.id), outcome, finished_at))
    _end(tx, container, outcome, finished_at)
    return outcome


def _end(tx: Tx, container: Container, outcome: Outcome, finished_at: datetime) -> None:
    _change(tx, ContainerRow, container.id, **_how(outcome), finished_at=finished_at)


def _how(outcome: Outcome) -> dict[str, object]:
    return {"reason": outcome.reason, "exit_code": outcome.exit_code, "sentence": outcome.sentence}


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
        values |= {"active": 0} | _counts(outcome)
    match verdict:
        case Again():
            values |= {"status": RunStatus.QUEUED, "available_at": verdict.available_at}
            if verdict.unanswered_since is not None:
                values |= {"tries": RunRow.tries + 1, "unanswered_since": verdict.unanswered_since}
            touch(tx, QUEUED)
        case Final():
            touch(tx, QUEUED)  # a run that must be alone may have waited for this end
            _tell_who_awaits(tx, run)
            values |= {
                "status": verdict.status,
                "reason": verdict.reason,
                "finished_at": now,
                "exit_code": outcome.exit_code,
            }
    concluded = _move(tx, run, **values)
    if concluded is None:
        return None
    for container, its_outcome in ended:
        _end(tx, container, overruled(its_outcome, verdict), now)
    if attempt is not None and not goes_on:
        _change(tx, AttemptRow, attempt.id, status=outcome.status, **_how(outcome), finished_at=now)
    return concluded


def _counts(outcome: Outcome) -> dict[str, object]:
    """One more attempt that ended like this; cancelled ones are neither."""
    match outcome.status:
        case RunStatus.SUCCEEDED:
            return {"succeeded": RunRow.succeeded + 1}
        case RunStatus.FAILED:
            return {"failed": RunRow.failed + 1}
        case _:
            return {}


def _move(tx: Tx, run: Run, **values: Any) -> Run | None:
    """Change a running run that is still this claim's: as it is now, or None if it is somebody else's."""
    _touch(tx, run.id, run.job_id)
    row = move(tx, RunRow, run.id, *is_held(RunRow, run.token), **values)
    return None if row is None else run_value(row, run.project, run.job)


def cancel(tx: Tx, run: Run, reason: Reason, sentence: str, now: datetime) -> Run | None:
    """Ask for a run's end: queued → cancelled at once; running is told, and ends with its attempt.

    A person who asks once more forces it, and `sentence` takes the place of the first one. Returns the run as it is
    now (`Run.cancel` says what came of it), or None if nothing changed: it was over, or its end was asked for already.
    """
    _touch(tx, run.id, run.job_id)
    touch(tx, STOPPING)
    _tell_who_awaits(tx, run)
    row = _end_queued(tx, run, reason, sentence, now) or _ask_for_end(tx, run, reason, sentence, now)
    return None if row is None else run_value(row, run.project, run.job)


def _end_queued(tx: Tx, run: Run, reason: Reason, sentence: str, now: datetime) -> RunRow | None:
    row = move(
        tx,
        RunRow,
        run.id,
        col(RunRow.status) == RunStatus.QUEUED,
        status=RunStatus.CANCELLED,
        active=0,
        reason=reason,
        sentence=sentence,
        cancel_requested_at=now,
        finished_at=now,
        updated_at=now,
    )
    if row is not None:
        _end_interrupted(tx, run.id, Outcome(reason, sentence=sentence), now)
    return row


def _ask_for_end(tx: Tx, run: Run, reason: Reason, sentence: str, now: datetime) -> RunRow | None:
    """Of a running one; asked by a person once more, it is forced."""
    is_running = col(RunRow.status) == RunStatus.RUNNING
    asked = {"cancel_sentence": sentence, "updated_at": now}
    first = {"cancel_requested_at": now, "cancel_reason": reason, **asked}
    row = move(tx, RunRow, run.id, is_running, col(RunRow.cancel_requested_at).is_(None), **first)
    if row is None and reason is Reason.CANCELLED:
        is_not_forced = col(RunRow.cancel_forced_at).is_(None)
        row = move(tx, RunRow, run.id, is_running, is_not_forced, cancel_forced_at=now, **asked)
    return row


def _end_interrupted(tx: Tx, run_id: int, outcome: Outcome, now: datetime) -> None:
    """Settle the attempt that a queued run was about to go on with."""
    statement = update(AttemptRow).where(
        col(AttemptRow.run_id) == run_id, col(AttemptRow.status) == RunStatus.RUNNING
    )
    tx.connection().execute(statement.values(status=outcome.status, **_how(outcome), finished_at=now))


def with_id(tx: Tx, run_id: int) -> Run:
    found = tx.exec(runs_query().where(RunRow.id == run_id).execution_options(populate_existing=True)).first()
    if found is None:
        raise NotFound(f"There is no run {run_id}.")
    return value_of(tx, run_value, found)


def named(tx: Tx, name: str) -> Run:
    found = tx.exec(runs_query().where(RunRow.name == name)).first()
    if found is None:
        raise NotFound(f"There is no run named {name}.")
    return value_of(tx, run_value, found)


def page(
    tx: Tx,
    *,
    limit: int,
    before: int | None = None,
    job_id: int | None = None,
    project_id: int | None = None,
    build_id: int | None = None,
    statuses: Sequence[RunStatus] = (),
) -> Sequence[Run]:
    """Runs that match everything given, newest first."""
    query = runs_query()
    for column, wanted in (
        (RunRow.job_id, job_id),
        (RunRow.project_id, project_id),
        (RunRow.build_id, build_id),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if statuses:
        query = query.where(col(RunRow.status).in_(list(statuses)))
    return newest(tx, by_id(query, col(RunRow.id)), run_value, limit, before)


def latest_of(tx: Tx, job_ids: Sequence[int]) -> dict[int, Run]:
    """The newest run of each job that has one."""
    latest = select(func.max(RunRow.id)).where(col(RunRow.job_id).in_(job_ids)).group_by(col(RunRow.job_id))
    found = tx.exec(runs_query().where(col(RunRow.id).in_(latest)))
    return {run.job_id: run for run in values_of(tx, run_value, found)}


def attempts_of(tx: Tx, run_id: int) -> Sequence[Attempt]:
    query = select(AttemptRow).where(AttemptRow.run_id == run_id).order_by(col(AttemptRow.number))
    return values_of(tx, attempt_value, tx.exec(query))


def containers_of(tx: Tx, attempt_id: int) -> Sequence[Container]:
    query = select(ContainerRow).where(ContainerRow.attempt_id == attempt_id)
    return values_of(tx, container_value, tx.exec(query.order_by(col(ContainerRow.instance))))


def _tell_who_awaits(tx: Tx, run: Run) -> None:
    if run.trigger.type.is_awaited:
        touch(tx, ENDED)


def _touch(tx: Tx, run_id: int, job_id: int) -> None:
    touch(tx, "runs", f"run:{run_id}", f"job:{job_id}")


def cancel_requested(tx: Tx, run_ids: Sequence[int]) -> dict[int, Cancel]:
    """Those of the given runs whose end was asked for, and how."""
    query = select(RunRow.id, RunRow.cancel_forced_at).where(
        col(RunRow.id).in_(run_ids), col(RunRow.cancel_requested_at).is_not(None)
    )
    return {
        run_id: Cancel.ASKED if forced_at is None else Cancel.FORCED for run_id, forced_at in tx.exec(query)
    }


def over(tx: Tx, run_ids: Sequence[int]) -> dict[tuple[int, str], datetime]:
    """When those of the given runs ended that exist and are over, by id and name."""
    query = select(RunRow.id, RunRow.name, RunRow.finished_at).where(
        col(RunRow.id).in_(run_ids), col(RunRow.status).not_in(OPEN)
    )
    return {(run_id, name): ended_at for run_id, name, ended_at in tx.exec(query) if ended_at is not None}
