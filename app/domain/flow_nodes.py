"""What the nodes of a release flow are told to do: a specification for each type, and their rules.

A field that is None was left out, and is stored and shown as left out: what that means is said where it is used.
Rules between fields are pairs of a field, as a dotted path, and what is wrong with it, such as `("job", "is missing")`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from app.domain.job.effective import Overrides
from app.domain.job.rules import of_overrides

MESSAGE_RETRIES = 3  # of a message to an address, unless its node says otherwise
Rules = Iterator[tuple[str, str]]


class NodeType(enum.StrEnum):
    BUILD = "build"
    PROMOTE = "promote"
    DEPLOY = "deploy"
    RUN = "run"
    APPROVAL = "approval"
    MESSAGE = "message"


@dataclass(frozen=True)
class BuildNode:
    """Builds `job`: the commit `sha`, or the head of branch `ref`, or else what started the flow."""

    type: ClassVar[NodeType] = NodeType.BUILD
    name: str
    job: str
    sha: str | None = None
    ref: str | None = None
    retries: int | None = None


@dataclass(frozen=True)
class PromoteNode:
    """Promotes what `source` has to `to`, or to its peer in `to_stage`, or else to its peer in the next stage."""

    type: ClassVar[NodeType] = NodeType.PROMOTE
    name: str
    pipeline: str
    source: str
    to: str | None = None
    to_stage: str | None = None
    retries: int | None = None


@dataclass(frozen=True)
class DeployNode:
    """Deploys the latest builds to the jobs of `app`, or to `job` a build: the latest if none is named by its id."""

    type: ClassVar[NodeType] = NodeType.DEPLOY
    name: str
    job: str | None = None
    app: str | None = None
    build: int | Literal["latest"] | None = None
    retries: int | None = None


@dataclass(frozen=True)
class RunNode:
    """Runs `job` with `overrides`, whose secrets are sealed; the flow waits for the run unless `wait` is false."""

    type: ClassVar[NodeType] = NodeType.RUN
    name: str
    job: str
    overrides: Overrides | None = None
    wait: bool | None = None
    retries: int | None = None

    @property
    def waits(self) -> bool:
        return self.wait is not False


@dataclass(frozen=True)
class ApprovalNode:
    """Waits until somebody approves; `message` is what they are asked."""

    type: ClassVar[NodeType] = NodeType.APPROVAL
    name: str
    message: str | None = None


@dataclass(frozen=True)
class MessageNode:
    """Writes `message` to the node's log, and posts it to the sealed address `url` if there is one."""

    type: ClassVar[NodeType] = NodeType.MESSAGE
    name: str
    message: str
    url: str | None = None
    retries: int | None = None


NodeSpec = BuildNode | PromoteNode | DeployNode | RunNode | ApprovalNode | MessageNode


@dataclass(frozen=True)
class Parallel:
    """Nodes that go side by side."""

    nodes: tuple[NodeSpec, ...]


Step = NodeSpec | Parallel
Steps = tuple[Step, ...]


def groups_of(steps: Sequence[Step]) -> list[tuple[NodeSpec, ...]]:
    """The nodes of a flow by group: those of a `Parallel` are one, any other node is one by itself."""
    return [step.nodes if isinstance(step, Parallel) else (step,) for step in steps]


def nodes_of(steps: Sequence[Step]) -> list[NodeSpec]:
    return [node for group in groups_of(steps) for node in group]


def placed(steps: Sequence[Step]) -> Iterator[tuple[str, NodeSpec]]:
    """Every node with its dotted path in the flow, such as `nodes.1.parallel.0`."""
    for number, step in enumerate(steps):
        if isinstance(step, Parallel):
            for at, node in enumerate(step.nodes):
                yield f"nodes.{number}.parallel.{at}", node
        else:
            yield f"nodes.{number}", step


def with_each(steps: Sequence[Step], change: Callable[[str, NodeSpec], NodeSpec]) -> Steps:
    """The steps with each node as `change` gives it, which is told the node's dotted path."""

    def changed(number: int, step: Step) -> Step:
        if not isinstance(step, Parallel):
            return change(f"nodes.{number}", step)
        path = f"nodes.{number}.parallel"
        return Parallel(tuple(change(f"{path}.{at}", node) for at, node in enumerate(step.nodes)))

    return tuple(changed(number, step) for number, step in enumerate(steps))


def retries_of(node: NodeSpec) -> int:
    """Return how often the node is tried again after it failed."""
    match node:
        case ApprovalNode():
            return 0
        case MessageNode(url=str(), retries=None):
            return MESSAGE_RETRIES
        case _:
            return node.retries or 0


def contradictions_of(steps: Sequence[Step]) -> Rules:
    """Return what can't be as it is in a flow's nodes, whatever else there is in the project."""
    names: dict[str, str] = {}
    for place, node in placed(steps):
        if node.name in names:
            rule = f"must be another than that of {names[node.name]}, not {node.name!r} as well"
            yield f"{place}.name", rule
        else:
            names[node.name] = place
        for field, rule in _of_node(node):
            yield f"{place}.{field}", rule


def _of_node(node: NodeSpec) -> Rules:
    match node:
        case DeployNode():
            if (node.job is None) == (node.app is None):
                yield "job", "is missing: give a job or an app, and not both"
            if node.app is not None and node.build is not None:
                yield "build", "is not for an app: leave it out, or name a job"
        case MessageNode(url=None) if node.retries is not None:
            yield "retries", "is only for a message that goes to a url: leave it out, or give one"
        case PromoteNode() if node.to is not None and node.to_stage is not None:
            yield "to_stage", "can't be set together with to: give one of them"
        case RunNode(overrides=Overrides() as overrides):
            yield from of_overrides(overrides, "overrides.")
