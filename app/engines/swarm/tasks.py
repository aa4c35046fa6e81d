"""What the manager says of a service and its task, read as values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.engines.base import Exit, ExitKind, Node, State
from app.engines.docker.api_objects import ApiObject
from app.engines.docker.frames import parse_time
from app.engines.swarm.request import NANO, OVERLAP_LABEL, STOPPED_ON_LABEL, is_moved_nowhere

_ORPHANED = "orphaned"
_REMOVED = "Node {node} was removed from the Swarm, so how the container ended is not known."
_ENDED = {"complete", "failed", "shutdown", "rejected", "remove", _ORPHANED}
_WORDS = {"pause": "paused", "drain": "drained"}  # what a node that answers was set to
_KILLED = 137


@dataclass(frozen=True)
class Service:
    """A service of ours with the task that runs, or ran, its container. `tasks` are all that the manager has of it:
    after a stop there is a second one, which is on no node.
    """

    id: str
    spec: ApiObject
    version: int
    created_at: datetime
    tasks: Sequence[ApiObject] = ()
    nodes: Mapping[str, ApiObject] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.spec["Name"])

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.spec["Labels"]
        return labels

    @property
    def is_stopped(self) -> bool:
        return is_moved_nowhere(self.spec)

    @property
    def may_overlap(self) -> bool:
        return self.labels.get(OVERLAP_LABEL) == "true"

    @property
    def task(self) -> ApiObject | None:
        return min(self.tasks, key=lambda task: str(task["CreatedAt"]), default=None)

    @property
    def node(self) -> str:
        """The name of the node that the container is on; empty before it is known."""
        found = self.nodes.get(self.task.get("NodeID", "")) if self.task else None
        return str(found["Description"]["Hostname"]) if found else ""

    @property
    def status(self) -> ApiObject:
        return self.task["Status"] if self.task else {"State": "new"}

    @property
    def has_ended(self) -> bool:
        """Whether its process has, or can't begin any more."""
        is_nowhere = self.is_stopped and not (self.task or {}).get("NodeID")
        return is_nowhere or self.status["State"] in _ENDED

    @property
    def state(self) -> State:
        """What has not begun yet begins by itself, so it counts as running."""
        return State.EXITED if self.has_ended else State.RUNNING

    @property
    def exit_code(self) -> int | None:
        """What the process ended with; None before that, and where it never ran. A container that is only being started
        has a code too, which says nothing.
        """
        container = self.status.get("ContainerStatus") or {}
        return int(container["ExitCode"]) if self.has_ended and container.get("ContainerID") else None

    @property
    def lost_node(self) -> str:
        """The name of the node that should run it, if that does not answer, or is in the Swarm no more."""
        if self.task is None or self.has_ended or not self.task.get("NodeID"):
            return ""
        node = self.nodes.get(self.task["NodeID"])
        return self.node or "that it was on" if node is None or node["Status"]["State"] == "down" else ""

    @property
    def is_given_up(self) -> bool:
        """Whether its node is gone and another run may be beside it, should it run there still; it is known not to
        where somebody has removed that node from the Swarm.
        """
        return bool(self.lost_node) and (self.may_overlap or self.has_node_left)

    @property
    def removed_node(self) -> str:
        """The name of the node that the Swarm has forgotten together with what ran there."""
        if self.status["State"] == _ORPHANED:
            return self.node or "that it was on"
        has_word = self.task is not None and self.task.get("NodeID")
        return "" if has_word else self.labels.get(STOPPED_ON_LABEL, "")

    @property
    def has_node_left(self) -> bool:
        """Whether its node was removed from the Swarm, by somebody who knows that it is gone."""
        return bool(self.task and self.task.get("NodeID") and self.task["NodeID"] not in self.nodes)


def read_nodes(nodes: Iterable[ApiObject], tasks: Iterable[ApiObject]) -> list[Node]:
    """Return the nodes by their names, with what these tasks have reserved of them."""
    on: dict[str, list[ApiObject]] = defaultdict(list)
    for task in tasks:
        if task["Status"]["State"] not in _ENDED:
            on[task.get("NodeID", "")].append((task["Spec"].get("Resources") or {}).get("Reservations") or {})
    return sorted((_node(each, on[each["ID"]]) for each in nodes), key=lambda node: node.name)


def _node(found: ApiObject, reserved: Sequence[ApiObject]) -> Node:
    size, state, availability = (
        found["Description"]["Resources"],
        found["Status"]["State"],
        found["Spec"]["Availability"],
    )
    return Node(
        name=found["Description"]["Hostname"],
        state=_WORDS.get(availability, state) if state == "ready" else state,
        takes_work=(state, availability) == ("ready", "active"),
        cpus=size["NanoCPUs"] / NANO,
        memory_bytes=size["MemoryBytes"],
        reserved_cpus=sum(each.get("NanoCPUs", 0) for each in reserved) / NANO,
        reserved_memory_bytes=sum(each.get("MemoryBytes", 0) for each in reserved),
        containers=len(reserved),
    )


def is_over(service: Service | None) -> bool:
    """Whether nothing more is to be waited for: it has ended, is gone, or is given up, as its node is."""
    return service is None or service.has_ended or service.is_given_up


def is_silent(service: Service | None) -> bool:
    """Whether no more output can come of it now."""
    return service is None or service.has_ended or bool(service.lost_node)


def read_service(found: ApiObject, tasks: Sequence[ApiObject], nodes: Mapping[str, ApiObject]) -> Service:
    own = [task for task in tasks if task["ServiceID"] == found["ID"]]
    created_at = parse_time(found["CreatedAt"])
    return Service(found["ID"], found["Spec"], found["Version"]["Index"], created_at, own, nodes)


def read_exit(service: Service) -> Exit:
    """Return how a task that has ended did so. Swarm tells when it ended, and not when its process began."""
    status, code = service.status, service.exit_code
    if node := service.removed_node:
        return Exit(ExitKind.LOST, detail=_REMOVED.format(node=node))
    if code is None or code < 0:
        why = status.get("Err") or f"its state is {status['State']}"
        return Exit(
            ExitKind.ENGINE_FAILED,
            detail=f"The container never started, or Swarm can't say how it ended: {why}.",
        )
    finished_at = parse_time(status["Timestamp"])
    started_at = min(service.created_at, finished_at)
    if status["State"] not in ("complete", "failed") and not service.is_stopped:
        detail = f"Swarm stopped the container, e.g. as node {service.node} was drained: exit code {code} says nothing."
        return Exit(ExitKind.ENGINE_FAILED, code, False, started_at, finished_at, detail)
    killed = code == _KILLED and not service.is_stopped
    detail = (
        "It was killed; perhaps it used more memory than its plan allows, which Swarm does not tell."
        if killed
        else ""
    )
    return Exit(ExitKind.EXITED, code, False, started_at, finished_at, detail)
