"""Release flows, their runs and nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import col, select

from app.domain.errors import Conflict, NotFound
from app.domain.flow_codec import node_from_json, node_to_json, steps_from_json, steps_to_json
from app.domain.flow_nodes import NodeType, Steps, groups_of
from app.domain.flows import FlowConcurrency, FlowRun, FlowStatus, FlowTrigger, Node, NodeStatus, Started
from app.store.database import Tx, touch
from app.store.identity import reserved_id
from app.store.schema import FlowNodeRow, FlowRow, FlowRunRow, JobRow, ProjectRow
from app.store.transitions import move, since
from app.store.unreadable import by_id, newest, value_of, values_of

TOPIC = "flows"


@dataclass(frozen=True)
class Flow:
    """`steps` are its nodes, with secrets sealed; pushes that are built for the job `push_job` start it."""

    id: int
    project_id: int
    project: str
    name: str
    steps: Steps
    concurrency: FlowConcurrency
    push_job: str | None
    has_webhook: bool
    created_at: datetime


def save(
    tx: Tx,
    project_id: int,
    name: str,
    steps: Steps,
    *,
    concurrency: FlowConcurrency,
    push_job_id: int | None,
    now: datetime,
    flow_id: int | None = None,
) -> int:
    """A new flow, with this id if one is given, or other nodes for the one that has it.

    Raises Conflict if the name is taken.
    """
    taken = select(FlowRow.id).where(FlowRow.project_id == project_id, FlowRow.name == name)
    if tx.exec(taken.where(FlowRow.id != (flow_id or 0))).first() is not None:
        raise Conflict(f"There is a flow named {name} in this project already.")
    row = tx.get(FlowRow, flow_id) if flow_id else None
    row = row or FlowRow(
        id=flow_id or reserved_id(tx, "flow"), project_id=project_id, name=name, created_at=now
    )
    row.name = name
    row.definition = {"nodes": steps_to_json(steps)}
    row.concurrency = concurrency
    row.push_job_id = push_job_id
    tx.add(row)
    tx.flush()
    touch(tx, TOPIC)
    return row.id


def lock(tx: Tx, flow_id: int) -> None:
    """Keep other transactions of any server from changing runs of the flow until this one ends."""
    tx.exec(select(FlowRow.id).where(FlowRow.id == flow_id).with_for_update()).first()


def set_webhook(tx: Tx, flow_id: int, token_hash: str | None) -> None:
    tx.get_one(FlowRow, flow_id).trigger_hash = token_hash


def delete(tx: Tx, flow_id: int) -> None:
    """Its runs go with it. Raises Conflict while one is going."""
    live = live_runs(tx, flow_id)
    if live:
        raise Conflict(f"Run {live[0]} of this flow is not over: cancel it first.")
    tx.delete(tx.get_one(FlowRow, flow_id))
    touch(tx, TOPIC)


def named(tx: Tx, project: str, name: str) -> Flow:
    query = select(FlowRow).join(ProjectRow, col(ProjectRow.id) == col(FlowRow.project_id))
    row = tx.exec(query.where(ProjectRow.name == project, FlowRow.name == name)).first()
    if row is None:
        raise NotFound(f"There is no flow named {name} in project {project}.")
    return value_of(tx, partial(_flow, tx), row)


def with_webhook(tx: Tx, token_hash: str) -> Flow | None:
    row = tx.exec(select(FlowRow).where(FlowRow.trigger_hash == token_hash)).first()
    return None if row is None else value_of(tx, partial(_flow, tx), row)


def started_by_pushes(tx: Tx, job_ids: Sequence[int]) -> Sequence[Flow]:
    """The flows that a push starts if it is built for these jobs."""
    query = select(FlowRow).where(col(FlowRow.push_job_id).in_(job_ids)).order_by(col(FlowRow.id))
    return values_of(tx, partial(_flow, tx), tx.exec(query))


def page(tx: Tx, *, project_id: int | None, limit: int, before: int | None = None) -> Sequence[Flow]:
    query = select(FlowRow)
    if project_id is not None:
        query = query.where(FlowRow.project_id == project_id)
    return newest(tx, by_id(query, col(FlowRow.id)), partial(_flow, tx), limit, before)


def add_run(tx: Tx, flow: Flow, trigger: FlowTrigger, now: datetime) -> FlowRun:
    """A queued run with the nodes that the flow has now."""
    row = FlowRunRow(
        flow_id=flow.id,
        project_id=flow.project_id,
        status=FlowStatus.QUEUED,
        trigger=trigger.to_json(),
        created_at=now,
    )
    tx.add(row)
    tx.flush()
    for number, group in enumerate(groups_of(flow.steps)):
        for spec in group:
            tx.add(
                FlowNodeRow(
                    flow_run_id=row.id,
                    group=number,
                    name=spec.name,
                    type=spec.type,
                    spec=node_to_json(spec),
                    status=NodeStatus.WAITING,
                    log=[],
                )
            )
    tx.flush()
    touch(tx, TOPIC, f"flow-run:{row.id}")
    return _run(tx, row)


def live_runs(tx: Tx, flow_id: int, *statuses: FlowStatus) -> Sequence[int]:
    wanted = statuses or (FlowStatus.QUEUED, FlowStatus.RUNNING)
    query = select(FlowRunRow.id).where(FlowRunRow.flow_id == flow_id, col(FlowRunRow.status).in_(wanted))
    return tx.exec(query.order_by(col(FlowRunRow.id))).all()


def unfinished(tx: Tx) -> Sequence[int]:
    open_ = (FlowStatus.QUEUED, FlowStatus.RUNNING)
    query = select(FlowRunRow.id).where(col(FlowRunRow.status).in_(open_))
    return tx.exec(query.order_by(col(FlowRunRow.id))).all()


def set_status(tx: Tx, run: FlowRun, status: FlowStatus, now: datetime) -> FlowRun | None:
    """Begin or end a run that still has the status the caller has seen.

    Returns the run as it is now, or None if somebody else was first.
    """
    time = {"started_at": now} if status is FlowStatus.RUNNING else {"finished_at": now}
    return _move(tx, run, status=status, **time)


def request_cancel(tx: Tx, run: FlowRun, now: datetime) -> FlowRun | None:
    """Ask for the end of a run that is not over; the time is that of the first request."""
    return _move(tx, run, cancel_requested_at=since(FlowRunRow.cancel_requested_at, now))


def _move(tx: Tx, run: FlowRun, **values: Any) -> FlowRun | None:
    touch(tx, TOPIC, f"flow-run:{run.id}")
    row = move(tx, FlowRunRow, run.id, col(FlowRunRow.status) == run.status, **values)
    return None if row is None else _run(tx, row)


def set_node(
    tx: Tx,
    flow_run_id: int,
    node: Node,
    status: NodeStatus,
    now: datetime,
    *,
    say: str = "",
    tries: int | None = None,
    started: Started | None = None,
) -> Node | None:
    """Change a node that is still in the try and the status the caller has seen; `say` is added to its log.

    Its tries and what it started stay as they are if left out. Returns the node as it is now, or None if somebody else
    was first.
    """
    values: dict[str, object] = {"status": status}
    if status not in (NodeStatus.WAITING, NodeStatus.SKIPPED):
        values["started_at"] = since(FlowNodeRow.started_at, now)
    if status.is_over:
        values["finished_at"] = now
    if say:
        values["log"] = [*node.log, f"{now:%Y-%m-%dT%H:%M:%SZ} {say}"]
    if tries is not None:
        values["tries"] = tries
    if started is not None:
        values |= vars(started)
    guards = col(FlowNodeRow.status) == node.status, col(FlowNodeRow.tries) == node.tries
    row = move(tx, FlowNodeRow, node.id, *guards, **values)
    touch(tx, TOPIC, f"flow-run:{flow_run_id}")
    return None if row is None else _node(row)


def unsent(tx: Tx, now: datetime) -> Sequence[tuple[int, int]]:
    """Flow run and node of each message that is on its way to an address, and that nobody is sending."""
    query = (
        select(FlowRunRow.id, FlowNodeRow.id)
        .join(FlowNodeRow, col(FlowNodeRow.flow_run_id) == col(FlowRunRow.id))
        .where(FlowRunRow.status == FlowStatus.RUNNING, *_unsent(now))
    )
    return [(run_id, node_id) for run_id, node_id in tx.exec(query.order_by(col(FlowNodeRow.id)))]


def claim_message(tx: Tx, node_id: int, now: datetime, until: datetime) -> Node | None:
    """The message if it is the caller's to send, which it is until then; None if it is somebody else's."""
    row = move(tx, FlowNodeRow, node_id, *_unsent(now), available_at=until)
    return None if row is None else _node(row)


def _unsent(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        col(FlowNodeRow.type) == NodeType.MESSAGE,
        col(FlowNodeRow.status) == NodeStatus.RUNNING,
        col(FlowNodeRow.available_at) <= now,
    )


def run_with_id(tx: Tx, run_id: int) -> FlowRun:
    row = tx.get(FlowRunRow, run_id, populate_existing=True)
    if row is None:
        raise NotFound(f"There is no flow run {run_id}.")
    return value_of(tx, partial(_run, tx), row)


def runs_page(tx: Tx, flow_id: int, limit: int, before: int | None = None) -> Sequence[FlowRun]:
    query = select(FlowRunRow).where(FlowRunRow.flow_id == flow_id)
    return newest(tx, by_id(query, col(FlowRunRow.id)), partial(_run, tx), limit, before)


def _flow(tx: Tx, row: FlowRow) -> Flow:
    job = None if row.push_job_id is None else tx.get(JobRow, row.push_job_id)
    return Flow(
        id=row.id,
        project_id=row.project_id,
        project=tx.get_one(ProjectRow, row.project_id).name,
        name=row.name,
        steps=steps_from_json(row.definition["nodes"]),
        concurrency=FlowConcurrency(row.concurrency),
        push_job=job.name if job is not None and job.deleted_at is None else None,
        has_webhook=row.trigger_hash is not None,
        created_at=row.created_at,
    )


def _run(tx: Tx, row: FlowRunRow) -> FlowRun:
    query = select(FlowNodeRow).where(FlowNodeRow.flow_run_id == row.id).order_by(col(FlowNodeRow.id))
    nodes = tx.exec(query.execution_options(populate_existing=True))
    return FlowRun(
        id=row.id,
        flow_id=row.flow_id,
        flow=tx.get_one(FlowRow, row.flow_id).name,
        project_id=row.project_id,
        project=tx.get_one(ProjectRow, row.project_id).name,
        status=FlowStatus(row.status),
        trigger=FlowTrigger.from_json(row.trigger),
        nodes=tuple(_node(node) for node in nodes),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
    )


def _node(row: FlowNodeRow) -> Node:
    return Node(
        id=row.id,
        group=row.group,
        spec=node_from_json(row.spec),
        status=NodeStatus(row.status),
        tries=row.tries,
        log=tuple(row.log),
        build_id=row.build_id,
        run_id=row.run_id,
        deployment_id=row.deployment_id,
        available_at=row.available_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
