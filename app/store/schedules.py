"""Scheduled jobs: which are due, and writing what became of many of them at once.

The unique decision of a job and scheduled time is the fire's row: a time is decided once, across restarts and replicas.
Ten thousand jobs may be due in the same minute, so this module works on columns and batches, and a run's configuration
goes from the row of its job to its own inside of the database.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import JSON, Select, Text, cast, type_coerce
from sqlalchemy import select as select_columns
from sqlmodel import col, select

from app.domain.decisions import EventType, Verdict
from app.domain.job.codec import schedule_from_json
from app.domain.job.spec import JobKind, ScheduleSettings
from app.domain.runs import RunStatus, TriggerType
from app.store.bulk import Copied, of_raw, raw, table_of
from app.store.counts import happened
from app.store.database import Tx, bulk, touch
from app.store.notices import note_missed
from app.store.run_names import unlike_any
from app.store.runs import QUEUED, is_open
from app.store.schema import DecisionRow, JobRow, ProjectRow, RunRow
from app.store.unreadable import unreadable

CHUNK = 500


class DueJob(NamedTuple):
    """A scheduled job whose next time has come."""

    id: int
    project_id: int
    name: str


@dataclass(frozen=True, slots=True)
class DueJobs:
    """Jobs whose next time has come and that are alike in all that decides about it."""

    schedule: ScheduleSettings
    next_fire_at: datetime
    has_image: bool
    jobs: Sequence[DueJob]


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of a scheduled time of some jobs. `run_names` has a name for each; none where nothing starts."""

    jobs: Sequence[DueJob]
    cron: str
    scheduled_for: datetime
    verdict: Verdict
    rule: str
    sentence: str
    run_names: Sequence[str] = ()
    alone: bool = False
    missed_from: datetime | None = None  # of missed times, the first; `scheduled_for` is the last
    repeated_from: datetime | None = None  # the same of times that a clock set back makes come again


def due(tx: Tx, now: datetime, limit: int) -> Sequence[DueJobs]:
    """Active, unpaused scheduled jobs whose next time has come: the most overdue first, at most `limit`."""
    query = _SCHEDULED.where(col(JobRow.next_fire_at) <= now).order_by(col(JobRow.next_fire_at))
    return _alike(tx, query.limit(limit).with_for_update(skip_locked=True, key_share=True))


def ahead(tx: Tx, now: datetime) -> Sequence[DueJobs]:
    """Return all other active, unpaused scheduled jobs: those whose next time is to come."""
    return _alike(tx, _SCHEDULED.where(col(JobRow.next_fire_at) > now))


_SCHEDULED = select_columns(
    cast(col(JobRow.schedule), Text),
    raw(JobRow.next_fire_at),
    raw(JobRow.has_image),
    col(JobRow.id),
    col(JobRow.project_id),
    col(JobRow.name),
)


def _alike(tx: Tx, query: Select[Any]) -> Sequence[DueJobs]:
    connection = tx.connection()
    alike: dict[tuple[str, Any, Any], list[DueJob]] = defaultdict(list)
    for schedule, next_fire_at, has_image, *job in connection.execute(query).all():
        alike[schedule, next_fire_at, has_image].append(DueJob._make(job))
    result = []
    for (stored, next_fire_at, has_image), found in alike.items():
        try:
            schedule = _schedule(stored)
        except Exception as error:  # the others' times go on
            for each in found:
                unreadable(tx, JobRow.__tablename__, each.id, error)
            continue
        at = of_raw(connection.dialect, JobRow.next_fire_at, next_fire_at)
        result.append(DueJobs(schedule, at, bool(has_image), found))
    return result


@lru_cache(maxsize=1000)
def _schedule(stored: str) -> ScheduleSettings:
    return schedule_from_json(json.loads(stored))


class ListedJob(NamedTuple):
    """A job with a schedule, as a list of many shows it. Nothing starts by it while it is not `is_active`."""

    id: int
    name: str
    title: str
    project: str
    cron: str
    time_zone: str
    is_active: bool
    next_fire_at: datetime | None


def listed(tx: Tx, within: Set[int] | None, *, project: str = "", named: str = "") -> Sequence[ListedJob]:
    """All jobs with a schedule in the projects with these ids (None: in all), by name; `named` is a part of theirs."""
    called = type_coerce(col(JobRow.definition), JSON)["display_name"].as_string()
    query = (
        select_columns(
            cast(col(JobRow.schedule), Text),
            *(col(JobRow.id), col(JobRow.name), called, col(ProjectRow.name), col(JobRow.paused)),
            col(JobRow.next_fire_at),
        )
        .join(ProjectRow, col(ProjectRow.id) == col(JobRow.project_id))
        .where(col(JobRow.deleted_at).is_(None), col(JobRow.kind) == JobKind.CRON)
        .order_by(col(JobRow.name), col(JobRow.id))
    )
    if within is not None:
        query = query.where(col(JobRow.project_id).in_(within))
    if project:
        query = query.where(col(ProjectRow.name) == project)
    if named:
        query = query.where(col(JobRow.name).contains(named.lower(), autoescape=True))
    found = []
    for stored, job_id, name, title, of_project, paused, next_fire_at in tx.connection().execute(query):
        try:
            settings = _schedule(stored)
        except Exception as error:  # the others are listed
            unreadable(tx, JobRow.__tablename__, job_id, error)
            continue
        is_active = settings.active and not paused
        found.append(
            ListedJob(
                job_id,
                name,
                title or name,
                of_project,
                settings.cron,
                settings.time_zone,
                is_active,
                next_fire_at,
            )
        )
    return found


def next_due_at(tx: Tx) -> datetime | None:
    query = select(JobRow.next_fire_at).where(col(JobRow.next_fire_at).is_not(None))
    return tx.exec(query.order_by(col(JobRow.next_fire_at)).limit(1)).first()


def alive(tx: Tx, job_ids: Sequence[int]) -> Mapping[int, list[tuple[int, str]]]:
    """The live runs of these jobs as (id, name), oldest first."""
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for start in range(0, len(job_ids), CHUNK):
        query = select_columns(col(RunRow.job_id), col(RunRow.id), col(RunRow.name)).where(
            col(RunRow.job_id).in_(job_ids[start : start + CHUNK]), is_open(RunRow)
        )
        for job_id, run_id, name in tx.connection().execute(query.order_by(col(RunRow.id))):
            found[job_id].append((run_id, name))
    return found


def set_next(tx: Tx, next_at: Mapping[datetime, Sequence[int]]) -> None:
    """Save when each of these jobs is looked at again."""
    for at, job_ids in next_at.items():
        bulk(tx).update(JOBS, job_ids, {"next_fire_at": at})


def write(tx: Tx, fired: Sequence[Fired], now: datetime) -> None:
    """Store the runs and decisions of many scheduled times."""
    if not fired:
        return
    fired, run_ids = _start(tx, fired, now)
    rows = [row for each in fired for row in _decisions(each, run_ids)]
    bulk(tx).insert(DECISIONS, DECIDED, rows, {"at": now, "event_type": EventType.SCHEDULE.value})
    note_missed(tx, [row[0] for row in rows if row[4] == Verdict.MISSED])
    for each in fired:
        happened(tx, "decision", each.verdict, each.rule, number=len(each.jobs))
    touched = islice((f"job:{job.id}" for each in fired for job in each.jobs), CHUNK)
    touch(tx, "runs", "jobs", "decisions", QUEUED, *touched)


def write_repeated(tx: Tx, fired: Sequence[Fired], now: datetime) -> None:
    """Store that times come again; once for each job and stretch, however often it is noticed."""
    rows = [row for each in fired for row in _decisions(each, {})]
    same = {"at": now, "event_type": EventType.SCHEDULE.value}
    if not rows:
        return
    once = "ON CONFLICT (event_type, event_id, job_id) DO NOTHING RETURNING id"
    stored = bulk(tx).insert(DECISIONS, DECIDED, rows, same, ending=once)
    if stored:
        happened(tx, "decision", fired[0].verdict, fired[0].rule, number=len(stored))
        touch(tx, "decisions")


def decided_ahead(tx: Tx, now: datetime) -> Mapping[int, Set[datetime]]:
    """Scheduled times that were decided at a time that is still to come, by job: there are none on a good clock."""
    query = select_columns(col(DecisionRow.job_id), col(DecisionRow.event_id)).where(
        col(DecisionRow.at) > now, col(DecisionRow.event_type) == EventType.SCHEDULE.value
    )
    found: dict[int, set[datetime]] = defaultdict(set)
    for job_id, event_id in tx.connection().execute(query):
        assert job_id is not None
        with suppress(ValueError):  # it is of times that came again
            at = datetime.strptime(event_id.partition("@")[2], _STAMP).replace(tzinfo=UTC)
            found[job_id].add(at)
    return found


def undecided(tx: Tx, jobs: Sequence[DueJob], at: datetime) -> Sequence[DueJob]:
    """The jobs of which this scheduled time has not been decided."""
    keys = [_key(job, at) for job in jobs]
    taken: set[str] = set()
    for start in range(0, len(keys), CHUNK):
        query = select_columns(col(DecisionRow.event_id)).where(
            col(DecisionRow.event_type) == EventType.SCHEDULE.value,
            col(DecisionRow.event_id).in_(keys[start : start + CHUNK]),
        )
        taken.update(tx.connection().execute(query).scalars())
    return [job for job, key in zip(jobs, keys, strict=True) if key not in taken]


def _start(tx: Tx, fired: Sequence[Fired], now: datetime) -> tuple[Sequence[Fired], dict[str, int]]:
    """Insert the runs; `fired` with the names they got, and their ids by name."""
    starting = [row for each in fired for row in _runs(each)]
    if not starting:
        return fired, {}
    insert = partial(bulk(tx).insert, RUNS, STARTED, copied=OF_JOB)
    same = {**NEW, "available_at": now, "created_at": now, "updated_at": now}
    unless_taken = "ON CONFLICT (name) DO NOTHING RETURNING name, id"
    run_ids = dict(insert(starting, same, ending=unless_taken))
    if len(run_ids) < len(starting):
        fired = _with_free_names(tx, fired, run_ids.keys())
        left_out = [row for each in fired for row in _runs(each) if row[0] not in run_ids]
        run_ids |= dict(insert(left_out, same, ending="RETURNING name, id"))
    return fired, run_ids


def _with_free_names(tx: Tx, fired: Sequence[Fired], inserted: Set[str]) -> list[Fired]:
    """Another name for those that lost theirs to a run that is there, or to one before them."""
    unused, given = set(inserted), set[str]()

    def free(name: str) -> str:
        if name in unused:
            unused.remove(name)
            return name
        another = unlike_any(tx, name, given)
        given.add(another)
        return another

    return [replace(each, run_names=[free(name) for name in each.run_names]) for each in fired]


JOBS, RUNS, DECISIONS = table_of(JobRow), table_of(RunRow), table_of(DecisionRow)
STARTED = ("name", "job_id", "scheduled_for", "cause", "alone")
OF_JOB = Copied(JOBS, "job_id", ("project_id", "effective", "plan", "instances"))
NEW = {
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
    "log_bytes": 0,
    "deaths": 0,
    "token": 0,
}
DECIDED = ("event_id", "job_id", "project_id", "run_id", "verdict", "rule", "sentence", "inputs")
Values = tuple[Any, ...]


def _runs(each: Fired) -> list[Values]:
    """The values of `STARTED`, for each run."""
    same = (each.scheduled_for, each.sentence, each.alone)
    named = zip(each.run_names, each.jobs, strict=bool(each.run_names))
    return [(name, job.id, *same) for name, job in named]


def _decisions(each: Fired, run_ids: Mapping[str, int]) -> list[Values]:
    """The values of `DECIDED`, for each job."""
    at = _stamp(each.scheduled_for)
    began = {"missed_from": each.missed_from, "repeated_from": each.repeated_from}
    since = {name: _stamp(first) for name, first in began.items() if first}
    inputs = {"scheduled_for": at, "cron": each.cron, **since}
    again = "/again" if each.repeated_from else ""
    same = (each.verdict.value, each.rule, each.sentence, inputs)
    started: list[int | None] = [run_ids[name] for name in each.run_names] or [None] * len(each.jobs)
    return [
        (f"{_key(job, each.scheduled_for)}{again}", job.id, job.project_id, run_id, *same)
        for job, run_id in zip(each.jobs, started, strict=True)
    ]


_STAMP = "%Y-%m-%dT%H:%M:%SZ"


def _key(job: DueJob, at: datetime) -> str:
    return f"{job.id}@{_stamp(at)}"


def _stamp(at: datetime) -> str:
    return at.strftime(_STAMP)
