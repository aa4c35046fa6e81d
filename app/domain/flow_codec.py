"""The nodes of a release flow as JSON: as they are stored, and as they are shown, without what is secret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

from app.domain.documents import Json, Stored
from app.domain.flow_nodes import (
    ApprovalNode,
    BuildNode,
    DeployNode,
    MessageNode,
    NodeSpec,
    NodeType,
    Parallel,
    PromoteNode,
    RunNode,
    Step,
    Steps,
)
from app.domain.job.codec import overrides_from_json, overrides_to_json, shown_env

KEPT_URL = "***"  # how the address of a message is shown; given again, it stays as it is

_CLASSES = (BuildNode, PromoteNode, DeployNode, RunNode, ApprovalNode, MessageNode)
_BY_TYPE = {each.type: each for each in _CLASSES}
_NAMES = {"source": "from"}  # where a field has another name in JSON
_FIELDS = {
    each.type: [
        (field.name, _NAMES.get(field.name, field.name)) for field in fields(each) if field.name != "name"
    ]
    for each in _CLASSES
}  # of each type: its fields besides the name, and what each is called in JSON


def node_to_json(node: NodeSpec) -> Json:
    """The node as it is stored: its name, its type and what else was given."""
    values = ((stored, getattr(node, name)) for name, stored in _FIELDS[node.type])
    given = {stored: value for stored, value in values if value is not None}
    if isinstance(node, RunNode) and node.overrides is not None:
        given["overrides"] = overrides_to_json(node.overrides)
    return {"name": node.name, "type": str(node.type), **given}


def node_from_json(document: Stored) -> NodeSpec:
    type_ = NodeType(document["type"])
    given = {name: document[stored] for name, stored in _FIELDS[type_] if stored in document}
    if "overrides" in given:
        given["overrides"] = overrides_from_json(given["overrides"])
    return _BY_TYPE[type_](name=document["name"], **given)


def steps_to_json(steps: Sequence[Step]) -> list[Json]:
    return _documents(steps, node_to_json)


def steps_from_json(documents: Sequence[Stored]) -> Steps:
    return tuple(
        Parallel(tuple(node_from_json(node) for node in document["parallel"]))
        if "parallel" in document
        else node_from_json(document)
        for document in documents
    )


def shown_steps(steps: Sequence[Step]) -> list[Json]:
    """The nodes as they could be given again: secrets are there, without their values."""
    return _documents(steps, _shown)


def _documents(steps: Sequence[Step], document: Callable[[NodeSpec], Json]) -> list[Json]:
    return [
        {"parallel": [document(node) for node in step.nodes]}
        if isinstance(step, Parallel)
        else document(step)
        for step in steps
    ]


def _shown(node: NodeSpec) -> Json:
    shown = node_to_json(node)
    match node:
        case MessageNode(url=str()):
            shown["url"] = KEPT_URL
        case RunNode() if node.overrides is not None:
            env = node.overrides.env.items()
            shown_values = {name: value and shown_env({name: value})[name] for name, value in env}
            shown["overrides"] = {**shown["overrides"], "env": shown_values}
    return shown
