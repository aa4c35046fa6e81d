"""What projects use of what they may: counted from rows, so that nothing that dies leaves a wrong count.

A check and what it allows are one transaction. Of two servers on one database only one at a time looks at a project
that a limit binds (`hold`), so that together they don't exceed it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlalchemy import select as select_columns
from sqlmodel import col, select

from app.domain.builds import Build, BuildStatus
from app.domain.plans import MIB
from app.domain.quotas import (
    NAMES,
    AtWork,
    ProjectLimits,
    Usage,
    full,
    usages,
    why_build_waits,
    why_run_waits,
)
from app.domain.runs import Run, RunStatus
from app.store.database import Tx, is_writing, quotas_of, touch
from app.store.schema import BuildRow, JobRow, ProjectRow, RunRow

# Whoever adds to a queue that has more room than this does not wait for others who do: they can't fill it together.
ROOMY = 10_000
WORKERS = ("queued:runs", "queued:builds")  # the topics that workers listen to


def limits_of(tx: Tx, project_ids: Iterable[int]) -> dict[int, ProjectLimits]:
    """The limits of these projects: their own, and the server's for the others."""
    defaults = quotas_of(tx).defaults
    found = dict.fromkeys(project_ids, defaults)
    if found:
        own = select(ProjectRow.id, ProjectRow.limits).where(col(ProjectRow.id).in_(found))
        for project_id, limits in tx.exec(own.where(col(ProjectRow.limits).is_not(None))):
            found[project_id] = defaults.with_own(limits)
    return found


def bounds_work(limits: ProjectLimits, table: type[BuildRow] | type[RunRow]) -> bool:
    """Whether limits say anything of how many builds, or runs, are at work at once."""
    if table is BuildRow:
        return bool(limits.builds_at_once)
    return bool(limits.runs_at_once or limits.cpus or limits.memory_mb)


def hold(tx: Tx, project_ids: Collection[int]) -> None:
    """Let nobody else decide by the limits of these projects until the transaction ends.

    In the order of their ids, so that no two wait for each other. What is counted afterwards has all that others
    committed. SQLite has one writer at a time anyway, and who only reads, such as for a forecast, holds up nobody.
    """
    if not project_ids or tx.connection().dialect.name == "sqlite" or not is_writing(tx):
        return
    held = select(ProjectRow.id).where(col(ProjectRow.id).in_(project_ids)).order_by(col(ProjectRow.id))
    tx.exec(held.with_for_update(key_share=True)).all()


def at_work(tx: Tx, table: type[BuildRow] | type[RunRow], project_ids: Collection[int]) -> dict[int, AtWork]:
    """What is running of these projects; those of which nothing is are left out."""
    if table is BuildRow:
        counted: Any = (
            select_columns(col(BuildRow.project_id), func.count())
            .where(col(BuildRow.status) == "running", col(BuildRow.project_id).in_(project_ids))
            .group_by(col(BuildRow.project_id))
        )
        return {project: AtWork(number) for project, number in tx.connection().execute(counted)}
    columns = col(RunRow.project_id), col(RunRow.plan), col(RunRow.instances)
    sized: Any = (
        select_columns(*columns, func.count())
        .where(col(RunRow.status) == "running", col(RunRow.project_id).in_(project_ids))
        .group_by(*columns)
    )
    found: dict[int, AtWork] = defaultdict(AtWork)
    for project, plan, instances, number in tx.connection().execute(sized):
        before, size = found[project], quotas_of(tx).size(plan, instances * number)
        found[project] = AtWork(before.number + number, before.size + size)
    return dict(found)


def room_in_queue(tx: Tx, project_ids: Iterable[int]) -> dict[int, int]:
    """How many more runs each of these projects may have queued; those without a limit are left out."""
    most = {
        id_: limits.queued_runs for id_, limits in limits_of(tx, project_ids).items() if limits.queued_runs
    }
    left = {id_: number - _queued(tx, id_, number) for id_, number in most.items()}
    scarce = [id_ for id_, number in left.items() if number < ROOMY]
    hold(tx, scarce)
    return left | {id_: most[id_] - _queued(tx, id_, most[id_]) for id_ in scarce}


def why_not_queued(tx: Tx, project_id: int) -> str | None:
    """Why a project may have no more runs queued, as the rest of a sentence; None if it may."""
    left = room_in_queue(tx, [project_id]).get(project_id)
    return None if left is None or left > 0 else queue_is_full(tx, project_id)


def queue_is_full(tx: Tx, project_id: int) -> str:
    """That a project has as many runs queued as it may, as the rest of a sentence."""
    project, most = tx.get_one(ProjectRow, project_id), limits_of(tx, [project_id])[project_id].queued_runs
    return full(project.name, "queued_runs", max(_queued(tx, project_id), most), most)


def why_no_job(tx: Tx, project_id: int, project: str) -> str | None:
    """Why a project may have no more jobs, as the rest of a sentence; None if it may."""
    most = limits_of(tx, [project_id])[project_id].jobs
    if not most:
        return None
    hold(tx, [project_id])
    number = _jobs(tx, project_id)
    return full(project, "jobs", number, most) if number >= most else None


def usage_of(tx: Tx, project_id: int, log_bytes: int) -> list[Usage]:
    """How much of each limit a project uses now; `log_bytes` are those of its logs."""
    own: Mapping[str, float] = tx.get_one(ProjectRow, project_id).limits or {}
    runs = at_work(tx, RunRow, [project_id]).get(project_id, AtWork())
    builds = at_work(tx, BuildRow, [project_id]).get(project_id, AtWork())
    used = {
        "jobs": _jobs(tx, project_id),
        "queued_runs": _queued(tx, project_id),
        "runs_at_once": runs.number,
        "builds_at_once": builds.number,
        "cpus": runs.size.cpus,
        "memory_mb": runs.size.memory_mb,
        "log_mb": -(-log_bytes // MIB),
    }
    return list(usages(limits_of(tx, [project_id])[project_id], own, used))


def run_waits(tx: Tx, run: Run, now: datetime) -> Run:
    """A queued run with the limit that it waits for as its sentence, if that is all it waits for; else as it is."""
    is_due = run.status is RunStatus.QUEUED and run.available_at is not None and run.available_at <= now
    if not is_due or run.awaited_build_id is not None:
        return run
    running = at_work(tx, RunRow, [run.project_id]).get(run.project_id, AtWork())
    limits = limits_of(tx, [run.project_id])[run.project_id]
    why = why_run_waits(run.project, limits, running, run.spec, quotas_of(tx))
    return run if why is None else replace(run, sentence=why)


def build_waits(tx: Tx, build: Build) -> Build:
    """A queued build with the limit that it waits for as its sentence, if it waits for nothing else; else as it is."""
    if build.status is not BuildStatus.QUEUED or build.sentence:
        return build
    running = at_work(tx, BuildRow, [build.project_id]).get(build.project_id, AtWork())
    why = why_build_waits(build.project, limits_of(tx, [build.project_id])[build.project_id], running.number)
    return build if why is None else replace(build, sentence=why)


def set_own(tx: Tx, project_id: int, own: Mapping[str, float | None]) -> None:
    """Give a project limits of its own; None takes the server's again. What waited for them may begin now."""
    row = tx.get_one(ProjectRow, project_id)
    kept = {**(row.limits or {}), **own}
    row.limits = {name: kept[name] for name in NAMES if kept.get(name) is not None} or None
    touch(tx, "projects", "runs", "builds", *WORKERS)


def _queued(tx: Tx, project_id: int, most: int | None = None) -> int:
    """How many runs of a project are queued; no more than `most` are looked at."""
    query = select(RunRow.id).where(RunRow.status == "queued", RunRow.project_id == project_id)
    return tx.exec(select(func.count()).select_from(query.limit(most).subquery())).one()


def _jobs(tx: Tx, project_id: int) -> int:
    query = select(func.count()).where(JobRow.project_id == project_id, col(JobRow.deleted_at).is_(None))
    return tx.exec(query).one()
