"""Removing what is beyond the limits: each function looks once more whether somebody has come to need it since.

On PostgreSQL the rows are locked before that look, so that whoever refers to one at the same time is either seen or
waits, and finds it gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlmodel import SQLModel, col, select

from app.domain.references import Ours
from app.domain.retention import Kind
from app.store import commit_statuses, facts, idempotency_keys, job_drafts, needs, refused_calls
from app.store.database import Tx, touch
from app.store.history import IS_ALONE
from app.store.schema import (
    AccountLinkRow,
    AnswerRow,
    AppRow,
    BuildRow,
    DecisionRow,
    DeliveryRow,
    DeploymentRow,
    DeploymentStepRow,
    FlowRunRow,
    JobRow,
    MovementRow,
    PromotionRow,
    RunRow,
    SettingRow,
)
from app.store.upsert import insert_unless_there

DRAFTS_KEPT = timedelta(days=7)  # since they were changed last
STATUSES_KEPT = timedelta(days=90)  # of commits, since they changed last
OVER = ("succeeded", "failed", "cancelled", "superseded")
BEGUN_AT, DOUBTED_FROM = "retention_begun_at", "retention_clock_doubted_from"
LONG_PAUSE, DOUBTED_FOR = timedelta(days=2), timedelta(days=1)
SETTLED = ("processed", "ignored", "failed")
TOPICS = {
    Kind.RUNS: "runs",
    Kind.BUILDS: "builds",
    Kind.DELIVERIES: "deliveries",
    Kind.DECISIONS: "decisions",
}


def remove(tx: Tx, kind: Kind, ids: Sequence[int], ours: Ours, since: int) -> int:
    """Remove those of the rows that still may go, with all that belongs to them; returns how many went.

    `since` is the newest deployment that was looked at when it was found out that the builds may go.
    """
    removed = _BY_KIND[kind](tx, list(ids), ours, since)
    if removed and kind in TOPICS:
        touch(tx, TOPICS[kind])
    return removed


def _runs(tx: Tx, ids: Sequence[int], _ours: Ours, _since: int) -> int:
    locked = _locked(tx, RunRow, ids)
    free = set(locked).difference(needs.of_runs(tx, locked))
    return _delete(tx, RunRow, free, col(RunRow.status).in_(OVER))


def _builds(tx: Tx, ids: Sequence[int], ours: Ours, since: int) -> int:
    locked = _locked(tx, BuildRow, ids)
    of_deployments, _ = needs.of_deployments(tx, since=since)
    needed = needs.of_builds(tx, locked) | needs.deployed(tx, ours) | of_deployments
    return _delete(tx, BuildRow, set(locked).difference(needed), col(BuildRow.status).in_(OVER))


def _deployments(tx: Tx, ids: Sequence[int], _ours: Ours, _since: int) -> int:
    locked = _locked(tx, DeploymentRow, ids)
    held = set(tx.exec(select(AppRow.held_by).where(col(AppRow.held_by).in_(locked))))
    return _delete(tx, DeploymentRow, set(locked) - held, col(DeploymentRow.status).in_(OVER))


def _flow_runs(tx: Tx, ids: Sequence[int], _ours: Ours, _since: int) -> int:
    return _delete(tx, FlowRunRow, ids, col(FlowRunRow.status).in_(OVER))


def _promotions(tx: Tx, ids: Sequence[int], _ours: Ours, _since: int) -> int:
    return _delete(tx, PromotionRow, ids)


def _decisions(tx: Tx, ids: Sequence[int], _ours: Ours, _since: int) -> int:
    return _delete(tx, DecisionRow, ids, *IS_ALONE)


def _deliveries(tx: Tx, ids: Sequence[int], _ours: Ours, _since: int) -> int:
    return _delete(tx, DeliveryRow, ids, col(DeliveryRow.status).in_(SETTLED))


def _movements(tx: Tx, ids: Sequence[int], _ours: Ours, _since: int) -> int:
    return _delete(tx, MovementRow, ids, col(MovementRow.delivery_id).is_(None))


def _deleted_jobs(tx: Tx, ids: Sequence[int], _ours: Ours, _since: int) -> int:
    locked = _locked(tx, JobRow, ids)
    kept = {
        job_id
        for row in (RunRow, DecisionRow, DeploymentStepRow)
        for job_id in tx.exec(select(col(row.job_id)).where(col(row.job_id).in_(locked)).distinct())
    }
    return _delete(tx, JobRow, set(locked) - kept, col(JobRow.deleted_at).is_not(None))


_BY_KIND: dict[Kind, Callable[[Tx, Sequence[int], Ours, int], int]] = {
    Kind.FLOW_RUNS: _flow_runs,
    Kind.PROMOTIONS: _promotions,
    Kind.DEPLOYMENTS: _deployments,
    Kind.RUNS: _runs,
    Kind.BUILDS: _builds,
    Kind.DECISIONS: _decisions,
    Kind.DELIVERIES: _deliveries,
    Kind.MOVEMENTS: _movements,
    Kind.DELETED_JOBS: _deleted_jobs,
}


def _locked(tx: Tx, row: Any, ids: Sequence[int]) -> list[int]:
    """Those of the rows that are there; until the transaction ends nobody else comes to refer to them."""
    query = select(row.id).where(row.id.in_(ids)).order_by(row.id)
    return list(tx.exec(query.with_for_update()))


def _delete(tx: Tx, row: type[SQLModel], ids: Any, *guards: Any) -> int:
    id_ = row.metadata.tables[str(row.__tablename__)].c.id
    removed: int = tx.connection().execute(delete(row).where(id_.in_(ids), *guards)).rowcount
    return removed


def forget_expired(tx: Tx, now: datetime) -> None:
    """Remove what is void by itself: links to accounts, first answers to keyed requests, old drafts of
    jobs, what was told of old commits, and how many calls were refused once.

    Sessions that are over go when the next one begins.
    """
    for expired in (
        delete(AccountLinkRow).where(col(AccountLinkRow.expires_at) <= now),
        delete(AnswerRow).where(col(AnswerRow.created_at) <= now - idempotency_keys.KEPT),
    ):
        tx.connection().execute(expired)
    job_drafts.sweep(tx, now - DRAFTS_KEPT)
    commit_statuses.sweep(tx, now - STATUSES_KEPT)
    refused_calls.sweep(tx, now)


def logs_of(tx: Tx, kind: Kind, first: int, last: int) -> tuple[set[int], int]:
    """The ids between two that rows of this kind have, and the greatest id of all; 0 where there is none."""
    row: Any = RunRow if kind is Kind.RUNS else BuildRow
    there = set(tx.exec(select(row.id).where(row.id >= first, row.id <= last)))
    return there, tx.exec(select(row.id).order_by(row.id.desc()).limit(1)).first() or 0


def take_turn(tx: Tx, now: datetime, interval: timedelta) -> bool:
    """Whether this server may begin: no server has within the interval. A clock that was set back holds nobody up."""
    before = facts.read(tx, BEGUN_AT)
    if before is not None and timedelta(0) <= now - datetime.fromisoformat(before) < interval:
        return False
    if before is None:
        first = insert_unless_there(tx, SettingRow, name=BEGUN_AT, value=now.isoformat())
        return tx.connection().execute(first.returning(col(SettingRow.name))).first() is not None
    mine = update(SettingRow).where(col(SettingRow.name) == BEGUN_AT, col(SettingRow.value) == before)
    is_mine = tx.connection().execute(mine.values(value=now.isoformat())).rowcount == 1
    if is_mine and now - datetime.fromisoformat(before) > LONG_PAUSE:
        facts.write(tx, DOUBTED_FROM, now.isoformat())
    return is_mine


def is_clock_doubted(tx: Tx, now: datetime) -> bool:
    """Whether the clock went on by over two days between two turns, and a day has not passed since.

    A clock that is set forward by mistake makes everything old at once, and what is removed does not come back.
    """
    since = facts.read(tx, DOUBTED_FROM)
    return since is not None and timedelta(0) <= now - datetime.fromisoformat(since) < DOUBTED_FOR
