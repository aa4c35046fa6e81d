"""Release flows: ordered nodes, some side by side, each with its state, tries and log.

    queued ─begin▶ running ─▶ succeeded | failed | cancelled

Nodes of one group run side by side, groups one after the other. A node that fails is tried again as often as it says;
one that has failed for good lets the rest of its group end and skips everything after it. `next_move` is the whole
logic; it sees stored facts and nothing else.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.jobs import RunOnImageChange


class FlowConcurrency(enum.StrEnum):
    """What a start does while another run of the flow is going."""

    ALLOW = "allow"
    QUEUE = "queue"
    FORBID = "forbid"


class NodeType(enum.StrEnum):
    BUILD = "build"
    PROMOTE = "promote"
    DEPLOY = "deploy"
    RUN = "run"
    APPROVAL = "approval"
    MESSAGE = "message"


class NodeStatus(enum.StrEnum):
    WAITING = "waiting"  # not reached yet
    RUNNING = "running"  # what it started, or the person it waits for, is not done
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # for good: its retries are used up
    SKIPPED = "skipped"  # not reached, because something before it failed or the flow was cancelled

    @property
    def is_over(self) -> bool:
        return self not in (NodeStatus.WAITING, NodeStatus.RUNNING)


class FlowStatus(enum.StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in (FlowStatus.QUEUED, FlowStatus.RUNNING)


@dataclass(frozen=True)
class Node:
    """One step of a flow's run. `spec` is the node as the flow has it; the ids are what it started last."""

    id: int
    group: int
    name: str
    type: NodeType
    spec: Mapping[str, Any]
    status: NodeStatus
    tries: int
    log: tuple[str, ...] = ()
    build_id: int | None = None
    run_id: int | None = None
    deployment_id: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def retries(self) -> int:
        return int(self.spec.get("retries", 0))


@dataclass(frozen=True)
class FlowRun:
    """One execution of a flow, with the nodes it had when it began."""

    id: int
    flow_id: int
    flow: str
    project_id: int
    project: str
    status: FlowStatus
    trigger: Mapping[str, Any]
    nodes: tuple[Node, ...]
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None


@dataclass(frozen=True)
class Wait:
    """Something that was started is not over yet."""


@dataclass(frozen=True)
class Start:
    """Begin this node."""

    node: Node


@dataclass(frozen=True)
class End:
    """The run is over; nodes not reached are skipped."""

    status: FlowStatus


Move = Wait | Start | End


def next_move(run: FlowRun) -> Move:
    """What is to be done now; nodes' statuses are those of what they started."""
    if any(node.status is NodeStatus.RUNNING for node in run.nodes):
        startable = None if _is_ending(run) else _startable(run)
        return Start(startable) if startable is not None else Wait()
    if run.cancel_requested_at is not None:
        return End(FlowStatus.CANCELLED)
    if any(node.status is NodeStatus.FAILED for node in run.nodes):
        return End(FlowStatus.FAILED)
    startable = _startable(run)
    return Start(startable) if startable is not None else End(FlowStatus.SUCCEEDED)


def _is_ending(run: FlowRun) -> bool:
    return run.cancel_requested_at is not None or any(node.status is NodeStatus.FAILED for node in run.nodes)


def _startable(run: FlowRun) -> Node | None:
    """The first waiting node of the earliest group that is not over."""
    open_groups = [node.group for node in run.nodes if not node.status.is_over]
    if not open_groups:
        return None
    current = min(open_groups)
    waiting = (node for node in run.nodes if node.group == current and node.status is NodeStatus.WAITING)
    return next(waiting, None)


def groups_of(nodes: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The nodes of a flow's definition by group: `{"parallel": […]}` is a group, any other node one by itself."""
    return [list(node["parallel"]) if "parallel" in node else [node] for node in nodes]


def runs_twice(nodes: Sequence[Mapping[str, Any]], rules: Mapping[str, RunOnImageChange]) -> list[str]:
    """Jobs that the flow would run twice: promoted to or deployed with a rule that runs them, and run by a node.

    `rules` are the run-on-image-change rules of the jobs that the flow names.
    """
    flat = [node for group in groups_of(nodes) for node in group]
    run = {node["job"] for node in flat if node["type"] == NodeType.RUN}
    promoted = {node.get("to") for node in flat if node["type"] == NodeType.PROMOTE}
    deployed = {node.get("job") for node in flat if node["type"] == NodeType.DEPLOY}
    by_promotion = {
        job for job in run & promoted if rules.get(job, RunOnImageChange.NEVER) is not RunOnImageChange.NEVER
    }
    by_deploy = {job for job in run & deployed if rules.get(job) is RunOnImageChange.ALWAYS}
    return sorted(by_promotion | by_deploy)
