"""Scheduled jobs: which are due, and writing what became of many of them at once.

The unique decision of a job and scheduled time is the fire's row: a time is decided once, across restarts and replicas.
Ten thousand jobs may be due in the same minute, so this module works on columns and batches, and passes a job's
prepared configuration on as the text it is stored as.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Text, cast, update
from sqlalchemy import select as select_columns
from sqlmodel import col, select

from app.domain.decisions import EventType, Verdict
from app.domain.jobs import ScheduleSettings, schedule_from_definition
from app.domain.runs import RunStatus, TriggerType
from app.store.bulk import Ready, table_of
from app.store.database import Tx, bulk, touch
from app.store.run_names import unlike_any
from app.store.runs import OPEN, QUEUED
from app.store.schema import DecisionRow, JobRow, RunRow

CHUNK = 500


@dataclass(frozen=True, slots=True)
class DueJob:
    """A scheduled job whose next time has come. `effective` is the configuration of its runs, as JSON text."""

    id: int
    project_id: int
    name: str
    schedule: ScheduleSettings
    next_fire_at: datetime
    has_image: bool
    effective: str


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of a scheduled time of one job. `run_name` is None where nothing starts."""

    job: DueJob
    scheduled_for: datetime
    verdict: Verdict
    rule: str
    sentence: str
    run_name: str | None = None
    alone: bool = False
    missed_from: datetime | None = None  # of missed times, the first; `scheduled_for` is the last


def due(tx: Tx, now: datetime, limit: int) -> Sequence[DueJob]:
    """Active, unpaused scheduled jobs whose next time has come, the most overdue first."""
    query = (
        select_columns(
            col(JobRow.id),
            col(JobRow.project_id),
            col(JobRow.name),
            cast(col(JobRow.schedule), Text),
            col(JobRow.next_fire_at),
            col(JobRow.has_image),
            cast(col(JobRow.effective), Text),
        )
        .where(col(JobRow.next_fire_at) <= now)
        .order_by(col(JobRow.next_fire_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    settings: dict[str, ScheduleSettings] = {}  # many jobs share a schedule
    found = []
    for id_, project_id, name, schedule, next_fire_at, has_image, effective in tx.connection().execute(query):
        if schedule not in settings:
            parsed = schedule_from_definition(json.loads(schedule))
            assert parsed is not None
            settings[schedule] = parsed
        assert next_fire_at is not None
        job = DueJob(id_, project_id, name, settings[schedule], next_fire_at, has_image, effective)
        found.append(job)
    return found


def next_due_at(tx: Tx) -> datetime | None:
    query = select(JobRow.next_fire_at).where(col(JobRow.next_fire_at).is_not(None))
    return tx.exec(query.order_by(col(JobRow.next_fire_at)).limit(1)).first()


def alive(tx: Tx, job_ids: Sequence[int]) -> Mapping[int, list[tuple[int, str]]]:
    """The live runs of these jobs as (id, name), oldest first."""
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for start in range(0, len(job_ids), CHUNK):
        query = select_columns(col(RunRow.job_id), col(RunRow.id), col(RunRow.name)).where(
            col(RunRow.job_id).in_(job_ids[start : start + CHUNK]), col(RunRow.status).in_(OPEN)
        )
        for job_id, run_id, name in tx.connection().execute(query.order_by(col(RunRow.id))):
            found[job_id].append((run_id, name))
    return found


def set_next(tx: Tx, next_at: Mapping[int, datetime | None]) -> None:
    """When to look at each job again. Many jobs share a minute, so they are written by minute."""
    by_time: dict[datetime | None, list[int]] = defaultdict(list)
    for job_id, at in next_at.items():
        by_time[at].append(job_id)
    for at, job_ids in by_time.items():
        for start in range(0, len(job_ids), CHUNK):
            chunk = col(JobRow.id).in_(job_ids[start : start + CHUNK])
            tx.connection().execute(update(JobRow).where(chunk).values(next_fire_at=at))


def write(tx: Tx, fired: Sequence[Fired], now: datetime) -> None:
    """Store the runs and decisions of many scheduled times."""
    if not fired:
        return
    fired, run_ids = _start(tx, fired, now)
    inputs: dict[tuple[str, datetime, datetime | None], Ready] = {}
    rows = [_decision(each, run_ids.get(each.run_name), inputs) for each in fired]
    bulk(tx).insert(DECISIONS, rows, {"at": now, "event_type": EventType.SCHEDULE.value})
    touch(tx, "runs", "jobs", "decisions", QUEUED, *(f"job:{each.job.id}" for each in fired[:CHUNK]))


def _start(tx: Tx, fired: Sequence[Fired], now: datetime) -> tuple[Sequence[Fired], dict[str | None, int]]:
    """Insert the runs; `fired` with the names they got, and their ids by name."""
    starting = [_run(each) for each in fired if each.run_name is not None]
    if not starting:
        return fired, {}
    insert, same = bulk(tx).insert, {**_NEW_RUN, "available_at": now, "created_at": now, "updated_at": now}
    run_ids = dict(insert(RUNS, starting, same, ending="ON CONFLICT (name) DO NOTHING RETURNING name, id"))
    if len(run_ids) < len(starting):
        fired = _with_free_names(tx, fired, run_ids.keys())
        left_out = [_run(each) for each in fired if each.run_name and each.run_name not in run_ids]
        run_ids |= dict(insert(RUNS, left_out, same, ending="RETURNING name, id"))
    return fired, run_ids


def _with_free_names(tx: Tx, fired: Sequence[Fired], inserted: Set[str]) -> list[Fired]:
    """Another name for those that lost theirs to a run that is there, or to one before them."""
    unused, given = set(inserted), set[str]()
    named = []
    for each in fired:
        name = each.run_name
        if name is not None and name not in unused:
            name = unlike_any(tx, name, given)
            given.add(name)
        unused -= {name}
        named.append(replace(each, run_name=name))
    return named


RUNS, DECISIONS = table_of(RunRow), table_of(DecisionRow)
_NEW_RUN = {
    "status": RunStatus.QUEUED.value,
    "trigger_type": TriggerType.SCHEDULE.value,
    "sentence": "",
    "cancel_sentence": "",
    "overridden": [],
    "attempts": 0,
    "active": 0,
    "succeeded": 0,
    "failed": 0,
    "interruptions": 0,
    "token": 0,
}
_OF_EFFECTIVE = ("retry_limit", "retry_backoff", "time_limit_seconds", "grace_period_seconds", "instances")


def _run(each: Fired) -> dict[str, Any]:
    effective = json.loads(each.job.effective)
    return {
        **{name: effective[name] for name in _OF_EFFECTIVE},
        "name": each.run_name,
        "project_id": each.job.project_id,
        "job_id": each.job.id,
        "scheduled_for": each.scheduled_for,
        "cause": each.sentence,
        "effective": Ready(each.job.effective),
        "alone": each.alone,
    }


def _decision(
    each: Fired, run_id: int | None, inputs: dict[tuple[str, datetime, datetime | None], Ready]
) -> dict[str, Any]:
    cron, at = each.job.schedule.cron, _stamp(each.scheduled_for)
    key = (cron, each.scheduled_for, each.missed_from)
    if key not in inputs:
        told = {"scheduled_for": at, "cron": cron}
        if each.missed_from is not None:
            told["missed_from"] = _stamp(each.missed_from)
        inputs[key] = Ready(json.dumps(told))
    return {
        "event_id": f"{each.job.id}@{at}",
        "project_id": each.job.project_id,
        "job_id": each.job.id,
        "verdict": each.verdict.value,
        "rule": each.rule,
        "sentence": each.sentence,
        "inputs": inputs[key],
        "run_id": run_id,
    }


@lru_cache(maxsize=1000)
def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
