"""What is over and may be beyond the limits of what is kept: found by index, the oldest first, and bounded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, null
from sqlalchemy import select as select_columns
from sqlmodel import SQLModel, col, select

from app.domain.retention import Ended, Kind, Past, Why
from app.store.database import Tx
from app.store.schema import (
    AppRow,
    BuildRow,
    BuildSourceRow,
    DecisionRow,
    DeliveryRow,
    DeploymentRow,
    FlowRow,
    FlowRunRow,
    JobRow,
    MovementRow,
    PipelineRow,
    ProjectRow,
    PromotionRow,
    RunRow,
    SourceRow,
)

PAGE = 500
ROLLBACKS = 10  # of each app, the newest deployments that went live stay
MOVEMENTS = 50  # of each branch and of each source are looked at (`store.movements.REMEMBERED`)
ENDS = {
    **dict.fromkeys(("queued", "running", "pending", "received"), Ended.OPEN),
    "succeeded": Ended.SUCCEEDED,
    "failed": Ended.FAILED,
}
NONE: Any = null()
NOTHING: Any = literal("")
# In the words of the index that holds these alone.
IS_ALONE = (
    col(DecisionRow.run_id).is_(None),
    col(DecisionRow.build_id).is_(None),
    col(DecisionRow.deployment_id).is_(None),
)


@dataclass(frozen=True)
class Table:
    """Where the rows of a kind are, whose they are, and how and when they end."""

    row: type[SQLModel]
    id: Any
    created_at: Any
    owner: Any = NONE
    status: Any = NOTHING
    ended_at: Any = None
    conditions: tuple[ColumnElement[bool], ...] = ()

    @property
    def columns(self) -> tuple[Any, ...]:
        at = self.created_at if self.ended_at is None else func.coalesce(self.ended_at, self.created_at)
        return (self.id, self.owner, self.status, at, self.created_at)


def _table(row: Any, **columns: Any) -> Table:
    return Table(row, col(row.id), **columns)


TABLES = {
    Kind.FLOW_RUNS: _table(
        FlowRunRow,
        created_at=col(FlowRunRow.created_at),
        owner=col(FlowRunRow.flow_id),
        status=col(FlowRunRow.status),
        ended_at=col(FlowRunRow.finished_at),
    ),
    Kind.PROMOTIONS: _table(
        PromotionRow, created_at=col(PromotionRow.created_at), owner=col(PromotionRow.pipeline_id)
    ),
    Kind.DEPLOYMENTS: _table(
        DeploymentRow,
        created_at=col(DeploymentRow.created_at),
        owner=col(DeploymentRow.app_id),
        status=col(DeploymentRow.status),
        ended_at=col(DeploymentRow.finished_at),
    ),
    Kind.RUNS: _table(
        RunRow,
        created_at=col(RunRow.created_at),
        owner=col(RunRow.job_id),
        status=col(RunRow.status),
        ended_at=col(RunRow.finished_at),
    ),
    Kind.BUILDS: _table(
        BuildRow,
        created_at=col(BuildRow.created_at),
        status=col(BuildRow.status),
        ended_at=col(BuildRow.finished_at),
    ),
    Kind.DECISIONS: _table(
        DecisionRow, created_at=col(DecisionRow.at), owner=col(DecisionRow.job_id), conditions=IS_ALONE
    ),
    Kind.DELIVERIES: _table(
        DeliveryRow,
        created_at=col(DeliveryRow.received_at),
        status=col(DeliveryRow.status),
        ended_at=col(DeliveryRow.processed_at),
    ),
}


def older(tx: Tx, kind: Kind, cutoff: datetime, limit: int) -> tuple[list[Past], bool]:
    """The rows that began before a moment, oldest first and at most `limit`; and whether those are all.

    Ids are given out in order, so what is old is at the beginning of the table: no index of times is needed.
    """
    table, found, after = TABLES[kind], [], 0
    if kind is Kind.DECISIONS:  # most of which go with something else: they have an index of times
        query = _query(table).where(table.created_at < cutoff).order_by(table.created_at, table.id)
        found = [_past(*row) for row in tx.connection().execute(query.limit(limit + 1))]
        return found[:limit], len(found) <= limit
    while len(found) <= limit:
        query = _query(table).where(table.id > after).order_by(table.id).limit(PAGE)
        page = [_past(*row) for row in tx.connection().execute(query)]
        found += [past for past in page if past.created_at < cutoff]
        if not page or all(past.created_at >= cutoff for past in page):
            return found[:limit], len(found) <= limit
        after = page[-1].id
    return found[:limit], False


def floors(tx: Tx, kind: Kind, count: int) -> dict[int, int]:
    """For each owner with more than `count` rows, the id of the oldest of its newest `count`."""
    table = TABLES[kind]
    return _floors(tx, table.owner, table.id, count, *table.conditions)


def floors_of_sources(tx: Tx, count: int) -> dict[int, int]:
    """The same of builds, which may be of several sources."""
    return _floors(tx, col(BuildSourceRow.source_id), col(BuildSourceRow.build_id), count)


def _floors(tx: Tx, owner: Any, id_: Any, count: int, *conditions: Any) -> dict[int, int]:
    overfull = select_columns(owner).where(owner.is_not(None), *conditions).group_by(owner)
    owners = tx.connection().execute(overfull.having(func.count() > count)).scalars().all()
    newest = select_columns(id_).where(*conditions).order_by(id_.desc()).offset(count - 1).limit(1)
    return {each: tx.connection().execute(newest.where(owner == each)).scalar_one() for each in owners}


def below(tx: Tx, kind: Kind, owner: int, floor: int, limit: int) -> list[Past]:
    """An owner's rows before one of them, oldest first."""
    table = TABLES[kind]
    query = _query(table).where(table.owner == owner, table.id < floor).order_by(table.id).limit(limit)
    return [_past(*row) for row in tx.connection().execute(query)]


def builds_below(tx: Tx, source_id: int, floor: int, limit: int) -> list[Past]:
    of_source = col(BuildSourceRow.build_id)
    query = _query(TABLES[Kind.BUILDS]).join(BuildSourceRow, of_source == col(BuildRow.id))
    query = query.where(col(BuildSourceRow.source_id) == source_id, of_source < floor)
    return [_past(*row) for row in tx.connection().execute(query.order_by(of_source).limit(limit))]


def sources_of(tx: Tx, build_ids: Sequence[int]) -> dict[int, list[int]]:
    """The sources of each build that has any left."""
    found: dict[int, list[int]] = {}
    for ids in pages(build_ids):
        query = select(BuildSourceRow.build_id, BuildSourceRow.source_id)
        for build_id, source_id in tx.exec(query.where(col(BuildSourceRow.build_id).in_(ids))):
            found.setdefault(build_id, []).append(source_id)
    return found


def pages(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + PAGE] for start in range(0, len(ids), PAGE)]


def _query(table: Table) -> Select[Any]:
    query: Select[Any] = select_columns(*table.columns).where(*table.conditions)
    return query


def _past(id_: int, owner: int | None, status: str, at: datetime, created_at: datetime) -> Past:
    return Past(id_, owner, ENDS.get(status, Ended.OTHERWISE), at, created_at)


def last_runs(tx: Tx, job_ids: Collection[int]) -> dict[int, Why]:
    """Of each of these jobs that was not deleted, the last success and the last failure."""
    there = select(JobRow.id).where(col(JobRow.id).in_(job_ids), col(JobRow.deleted_at).is_(None))
    return _last(tx, RunRow, col(RunRow.job_id), tx.exec(there).all())


def last_deployments(tx: Tx, app_ids: Collection[int]) -> dict[int, Why]:
    """The last failure of each app, and what it could be rolled back to: the newest that went live."""
    found = _last(tx, DeploymentRow, col(DeploymentRow.app_id), app_ids)
    for app_id in app_ids:
        live = select(DeploymentRow.id).where(
            DeploymentRow.app_id == app_id, DeploymentRow.status == "succeeded"
        )
        newest = tx.exec(live.order_by(col(DeploymentRow.id).desc()).limit(ROLLBACKS)).all()
        found |= dict.fromkeys(newest, Why.COULD_BE_ROLLED_BACK_TO)
    held = select(AppRow.held_by).where(col(AppRow.id).in_(app_ids), col(AppRow.held_by).is_not(None))
    return found | {each: Why.DEPLOYED for each in tx.exec(held) if each is not None}


def _last(
    tx: Tx, row: type[RunRow] | type[DeploymentRow], owner: Any, owners: Collection[int]
) -> dict[int, Why]:
    found: dict[int, Why] = {}
    for each in owners:
        for status, why in (("succeeded", Why.LAST_SUCCESS), ("failed", Why.LAST_FAILURE)):
            query = select(row.id).where(owner == each, row.status == status)
            found |= dict.fromkeys(tx.exec(query.order_by(col(row.id).desc()).limit(1)).all(), why)
    return found


def last_builds(tx: Tx, source_ids: Collection[int]) -> dict[int, Why]:
    """Of each source the last success, the last failure and the latest build of all."""
    found: dict[int, Why] = {}
    for source_id in source_ids:
        of_source = col(BuildSourceRow.build_id)
        query = select(BuildRow.id).join(BuildSourceRow, of_source == col(BuildRow.id))
        query = query.where(BuildSourceRow.source_id == source_id).order_by(of_source.desc()).limit(1)
        found |= dict.fromkeys(tx.exec(query).all(), Why.LATEST_BUILD)
        for status, why in (("failed", Why.LAST_FAILURE), ("succeeded", Why.LAST_SUCCESS)):
            found |= dict.fromkeys(tx.exec(query.where(BuildRow.status == status)).all(), why)
    return found


def movements_beyond(tx: Tx, deliveries_going: Collection[int], limit: int) -> list[int]:
    """Movements that nothing looks at any more: each branch and source have enough newer ones, and the delivery that
    told of them is gone, or goes."""
    row, going = MovementRow, set(deliveries_going)
    branch = (col(row.project_id), col(row.repo_key), col(row.ref))
    overfull = select_columns(*branch).group_by(*branch).having(func.count() > MOVEMENTS)
    found: list[int] = []
    for of_branch in tx.connection().execute(overfull).all():
        conditions = [column == value for column, value in zip(branch, of_branch, strict=True)]
        lowest = _place(tx, conditions)
        query = select(row.id, row.source_id, row.position, row.delivery_id).where(*conditions)
        query = query.where(col(row.position) < lowest).order_by(col(row.position))
        by_source: dict[int, int] = {}
        for id_, source_id, position, delivery_id in tx.exec(query.limit(limit)):
            if source_id is not None and source_id not in by_source:
                by_source[source_id] = _place(tx, [*conditions, col(row.source_id) == source_id])
            is_told_of = delivery_id is not None and delivery_id not in going
            if not is_told_of and position < by_source.get(source_id or 0, lowest):
                found.append(id_)
    return found[:limit]


def _place(tx: Tx, conditions: Sequence[Any]) -> int:
    """The position of the oldest movement that is still looked at; 0 if all are."""
    query = select(MovementRow.position).where(*conditions).distinct()
    newest = query.order_by(col(MovementRow.position).desc()).offset(MOVEMENTS - 1).limit(1)
    return tx.exec(newest).first() or 0


def deleted_jobs(tx: Tx, cutoff: datetime, going: Mapping[Kind, Collection[int]], limit: int) -> list[int]:
    """Jobs that were deleted before a moment, of which nothing is left but what is `going`."""
    query = select(JobRow.id).where(col(JobRow.deleted_at) < cutoff).order_by(col(JobRow.id)).limit(limit)
    return [job_id for job_id in tx.exec(query).all() if not _has_history(tx, job_id, going)]


def _has_history(tx: Tx, job_id: int, going: Mapping[Kind, Collection[int]]) -> bool:
    """Whether the job has runs or decisions that stay; what is kept of deployments names it in its decisions."""
    runs = tx.exec(select(RunRow.id).where(RunRow.job_id == job_id)).all()
    if any(each not in going[Kind.RUNS] for each in runs):
        return True
    row = DecisionRow
    query = select(row.id, row.run_id, row.build_id, row.deployment_id).where(row.job_id == job_id)
    return any(
        id_ not in going[Kind.DECISIONS]
        and run_id not in going[Kind.RUNS]
        and build_id not in going[Kind.BUILDS]
        and deployment_id not in going[Kind.DEPLOYMENTS]
        for id_, run_id, build_id, deployment_id in tx.exec(query)
    )


def counts(tx: Tx) -> dict[Kind, int]:
    """How many rows there are of each kind."""
    found: dict[Kind, int] = {
        kind: tx.connection().execute(select_columns(func.count()).select_from(table.row)).scalar_one()
        for kind, table in TABLES.items()
        if kind is not Kind.DECISIONS
    }
    alone = select_columns(func.count()).select_from(DecisionRow).where(*IS_ALONE)
    found[Kind.DECISIONS] = tx.connection().execute(alone).scalar_one()
    movements = select_columns(func.count()).select_from(MovementRow)
    found[Kind.MOVEMENTS] = tx.connection().execute(movements).scalar_one()
    gone = select_columns(func.count()).select_from(JobRow).where(col(JobRow.deleted_at).is_not(None))
    found[Kind.DELETED_JOBS] = tx.connection().execute(gone).scalar_one()
    return found


def bytes_of_deliveries(tx: Tx, ids: Sequence[int]) -> int:
    """What their bodies take."""
    length = func.sum(func.length(col(DeliveryRow.body)))
    return sum(
        tx.connection().execute(select_columns(length).where(col(DeliveryRow.id).in_(some))).scalar_one() or 0
        for some in pages(ids)
    )


def owners(tx: Tx, kind: Kind, ids: Collection[int]) -> dict[int, tuple[str, str]]:
    """Project and name of those whose rows they are: jobs, apps, flows, pipelines; of builds, sources."""
    rows: dict[Kind, Any] = {
        Kind.RUNS: JobRow,
        Kind.DECISIONS: JobRow,
        Kind.DEPLOYMENTS: AppRow,
        Kind.FLOW_RUNS: FlowRow,
        Kind.PROMOTIONS: PipelineRow,
    }
    if kind is Kind.BUILDS:
        return _names_of_sources(tx, ids)
    if kind not in rows:
        return {}
    row = rows[kind]
    query = select(row.id, ProjectRow.name, row.name).join(ProjectRow, ProjectRow.id == row.project_id)
    return {id_: (project, name) for id_, project, name in tx.exec(query.where(row.id.in_(ids)))}


def _names_of_sources(tx: Tx, ids: Collection[int]) -> dict[int, tuple[str, str]]:
    query = (
        select(SourceRow.id, ProjectRow.name, SourceRow.name, JobRow.name)
        .join(ProjectRow, col(ProjectRow.id) == col(SourceRow.project_id))
        .outerjoin(JobRow, col(JobRow.source_id) == col(SourceRow.id))
        .where(col(SourceRow.id).in_(ids))
    )
    return {id_: (project, service or job or "") for id_, project, service, job in tx.exec(query)}
