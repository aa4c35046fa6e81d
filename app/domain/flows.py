"""Release flows: ordered nodes, some side by side, each with its state, tries and log.

    queued ─begin▶ running ─▶ succeeded | failed | cancelled

Nodes of one group run side by side, groups one after the other. A node that fails is tried again as often as it says,
with the waits that runs have; one that has failed for good lets the rest of its group go on to its end, and skips
everything after it. A cancelled run starts nothing more. `next_move` is the whole logic; it sees stored facts and the
time, and nothing else.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.domain.documents import Json, Stored
from app.domain.flow_nodes import ApprovalNode, MessageNode, NodeSpec, NodeType, retries_of


class FlowConcurrency(enum.StrEnum):
    """What a start does while another run of the flow is going."""

    ALLOW = "allow"
    QUEUE = "queue"
    FORBID = "forbid"


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
    """One step of a flow's run. `spec` is the node as the flow had it then; the ids are what it started last.

    Before `available_at` a waiting node is not tried again, and a message on its way is nobody else's to send.
    """

    id: int
    group: int
    spec: NodeSpec
    status: NodeStatus
    tries: int
    log: tuple[str, ...] = ()
    build_id: int | None = None
    run_id: int | None = None
    deployment_id: int | None = None
    available_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def type(self) -> NodeType:
        return self.spec.type

    @property
    def retries(self) -> int:
        return retries_of(self.spec)

    @property
    def goes_out(self) -> bool:
        """Return whether it is a message that is posted to an address."""
        return isinstance(self.spec, MessageNode) and self.spec.url is not None

    def is_due(self, now: datetime) -> bool:
        return self.available_at is None or self.available_at <= now


@dataclass(frozen=True)
class Started:
    """What a node has begun and waits for, by its id, and from when on it is tried (again) or its message is sent."""

    build_id: int | None = None
    run_id: int | None = None
    deployment_id: int | None = None
    available_at: datetime | None = None


class FlowTriggerType(enum.StrEnum):
    MANUAL = "manual"
    API = "api"
    PUSH = "push"
    WEBHOOK = "webhook"


@dataclass(frozen=True)
class FlowTrigger:
    """Why a flow's run was started. Build nodes make the commit `sha`; `build_id` is of the push that started it."""

    type: FlowTriggerType
    by: str | None = None
    sha: str | None = None
    build_id: int | None = None

    @classmethod
    def from_json(cls, document: Stored) -> FlowTrigger:
        type_ = FlowTriggerType(document["type"])
        return cls(type_, document.get("by"), document.get("sha"), document.get("build"))

    def to_json(self) -> Json:
        return {"type": str(self.type), "by": self.by, "sha": self.sha, "build": self.build_id}


@dataclass(frozen=True)
class FlowRun:
    """One execution of a flow, with the nodes it had when it began."""

    id: int
    flow_id: int
    flow: str
    project_id: int
    project: str
    status: FlowStatus
    trigger: FlowTrigger
    nodes: tuple[Node, ...]
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None

    def with_node(self, changed: Node) -> FlowRun:
        """The run with one of its nodes as it is now."""
        return replace(self, nodes=tuple(changed if node.id == changed.id else node for node in self.nodes))

    def lets_go_of(self, node: Node) -> bool:
        """Return whether a cancelled run waits no more for the node: for an answer, or for what the push began."""
        of_push = node.build_id is not None and node.build_id == self.trigger.build_id
        return self.cancel_requested_at is not None and (isinstance(node.spec, ApprovalNode) or of_push)


@dataclass(frozen=True)
class Wait:
    """Something that was started is not over yet, or it is too early to try again."""


@dataclass(frozen=True)
class Start:
    """Begin this node."""

    node: Node


@dataclass(frozen=True)
class End:
    """The run is over; nodes not reached are skipped."""

    status: FlowStatus


Move = Wait | Start | End


def next_move(run: FlowRun, now: datetime) -> Move:
    """Return what is to be done now; nodes' statuses are those of what they started."""
    cancelled = run.cancel_requested_at is not None
    startable = [] if cancelled else _startable(run)
    due = next((node for node in startable if node.is_due(now)), None)
    if due is not None:
        return Start(due)
    if startable or any(node.status is NodeStatus.RUNNING for node in run.nodes):
        return Wait()
    if cancelled:
        return End(FlowStatus.CANCELLED)
    failed = any(node.status is NodeStatus.FAILED for node in run.nodes)
    return End(FlowStatus.FAILED if failed else FlowStatus.SUCCEEDED)


def _startable(run: FlowRun) -> Sequence[Node]:
    """The waiting nodes of the earliest group that is not over, unless a group before it has failed."""
    current = min((node.group for node in run.nodes if not node.status.is_over), default=None)
    failed = any(node.status is NodeStatus.FAILED and node.group != current for node in run.nodes)
    if current is None or failed:
        return []
    return [node for node in run.nodes if node.group == current and node.status is NodeStatus.WAITING]
