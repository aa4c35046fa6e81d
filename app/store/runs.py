"""Runs, their attempts and containers: guarded transitions."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    String,
    Update,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from app.domain.crashes import SUSPECTED_AFTER
from app.domain.errors import NotFound
from app.domain.job.spec import RunSpec
from app.domain.quotas import AtWork, ProjectLimits, instances_left
from app.domain.runs import (
    Cancel,
    Outcome,
    Reason,
    Run,
    RunStatus,
    Trigger,
)
from app.store.claims import (
    NOW,
    UNREADABLE,
    Claim,
    Turn,
    claim_next,
    claiming,
    is_held,
    next_due_at,
    readable,
    take_over,
)
from app.store.database import Tx, quotas_of, touch
from app.store.run_names import unlike_any
from app.store.run_values import outcome_columns, run_value, runs_query
from app.store.schema import AttemptRow, RunRow
from app.store.transitions import move
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
        plan=spec.plan,
        instances=spec.instances,
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
    """Return the condition that a run is open, in the words of the index that holds such runs alone."""
    return col(run.status).in_([literal_column(f"'{status}'") for status in OPEN])


_Older = aliased(RunRow)
_OLDER_IS_ALIVE = exists().where(
    col(_Older.job_id) == col(RunRow.job_id),
    is_open(_Older),
    col(_Older.status) == RunStatus.RUNNING,
    col(_Older.id) < col(RunRow.id),
)
_MAY_START = col(RunRow.alone).is_(False) | ~_OLDER_IS_ALIVE
_ENGINE: Any = bindparam("my_engine", type_=String)
_ANY_ENGINE: Any = bindparam("any_engine", type_=Boolean)
# What goes on may have containers, which another engine knows nothing of.
_IS_THERE = or_(col(RunRow.engine).is_(None), col(RunRow.engine) == _ENGINE, _ANY_ENGINE)
_CLAIM = claiming(RunRow, _MAY_START, _IS_THERE, updated_at=NOW)
# Their containers may be alive, and somebody has to follow them whatever the limits say; in the words of their index.
_GOES_ON = and_(col(RunRow.status) == literal_column("'queued'"), col(RunRow.active) > literal_column("0"))
_CLAIM_TO_GO_ON = claiming(RunRow, _GOES_ON, _IS_THERE, updated_at=NOW)


@cache
def _claim_of_size(plans: tuple[str, ...]) -> Update:
    """The same for runs that fit: at most `most_N` containers of the N-th plan; one of no plan is let fail."""
    fits = [
        and_(col(RunRow.plan) == plan, col(RunRow.instances) <= bindparam(f"most_{number}"))
        for number, plan in enumerate(plans)
    ]
    fitting = or_(col(RunRow.plan).not_in(plans), _GOES_ON, *fits)
    return claiming(RunRow, _MAY_START, _IS_THERE, fitting, updated_at=NOW)


def claim(tx: Tx, owner: str, now: datetime, engine: str | None = None) -> Run | None:
    """queued → running, for the run that has waited longest of those that their projects' limits let begin.

    One that must be alone waits for older ones' ends; one that was interrupted, and whose containers may be alive, for
    no limit. Of those that go on only the ones that were begun on this `engine`, unless it is None.
    """
    plans = quotas_of(tx).plans

    there = {"my_engine": engine or "", "any_engine": engine is None}

    def turn(_project: int, limits: ProjectLimits, at_work: AtWork) -> Turn | None:
        if limits.runs_at_once and at_work.number >= limits.runs_at_once:
            return Turn(_CLAIM_TO_GO_ON, there)
        if not limits.cpus and not limits.memory_mb:
            return Turn(_CLAIM, there)
        left = instances_left(limits, at_work, plans)
        parameters = {f"most_{number}": most for number, most in enumerate(left.values())}
        return Turn(_claim_of_size(tuple(left)), parameters | there)

    claimed = claim_next(tx, RunRow, turn, owner, now)
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


def taken_over(
    tx: Tx, owner: str, in_hand: Set[Claim], suspect: int | None = None, engine: str | None = None
) -> Sequence[Run]:
    """Running runs that nobody works on, now this server's to go on with; of those under suspicion only one.

    Of another engine than this one, unless it is None, only those whose end somebody has forced: how others stand
    nobody knows who doesn't reach it.
    """
    may_go_on = or_(col(RunRow.deaths) < SUSPECTED_AFTER, col(RunRow.id) == suspect)
    is_there = or_(
        col(RunRow.engine).is_(None), col(RunRow.engine) == engine, col(RunRow.cancel_forced_at).is_not(None)
    )
    conditions = [may_go_on] if engine is None else [may_go_on, is_there]
    taken = take_over(tx, RunRow, owner, in_hand, *conditions)
    return readable(tx, RunRow, taken, with_id, status=RunStatus.QUEUED)


def fix_image(tx: Tx, run: Run, now: datetime) -> Run | None:
    """Save what a running run is about to execute; its attempts keep it."""
    return move_claimed(tx, run, **image_columns(run), updated_at=now)


def say(tx: Tx, run: Run, sentence: str, now: datetime) -> Run | None:
    """Save why a running run does not go on yet; that is gone once a container of it has started."""
    return move_claimed(tx, run, sentence=sentence, updated_at=now)


def image_columns(run: Run) -> dict[str, object]:
    fields = ("image", "digest", "reference", "build_id", "sha")
    return {name: getattr(run, name) for name in fields}


def is_claimed(tx: Tx, run: Run) -> bool:
    """Return whether a running run is still this claim's."""
    query = select(RunRow.id).where(
        RunRow.id == run.id, RunRow.status == RunStatus.RUNNING, RunRow.token == run.token
    )
    return tx.exec(query).first() is not None


def move_claimed(tx: Tx, run: Run, **values: Any) -> Run | None:
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
    tell_who_awaits(tx, run)
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
    """Ask for the end of a running run; asked by a person once more, it is forced."""
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
    tx.connection().execute(
        statement.values(status=outcome.status, **outcome_columns(outcome), finished_at=now)
    )


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


def tell_who_awaits(tx: Tx, run: Run) -> None:
    if run.trigger.type.is_awaited:
        touch(tx, ENDED)


def _touch(tx: Tx, run_id: int, job_id: int) -> None:
    touch(tx, "runs", f"run:{run_id}", f"job:{job_id}")


def cancel_requested(tx: Tx, run_ids: Sequence[int]) -> dict[int, Cancel]:
    """Return those of the given runs whose end was asked for, and how."""
    query = select(RunRow.id, RunRow.cancel_forced_at).where(
        col(RunRow.id).in_(run_ids), col(RunRow.cancel_requested_at).is_not(None)
    )
    return {
        run_id: Cancel.ASKED if forced_at is None else Cancel.FORCED for run_id, forced_at in tx.exec(query)
    }


def over(tx: Tx, run_ids: Sequence[int]) -> dict[tuple[int, str], datetime]:
    """Return when those of the given runs ended that exist and are over, by id and name."""
    query = select(RunRow.id, RunRow.name, RunRow.finished_at).where(
        col(RunRow.id).in_(run_ids), col(RunRow.status).not_in(OPEN)
    )
    return {(run_id, name): ended_at for run_id, name, ended_at in tx.exec(query) if ended_at is not None}
