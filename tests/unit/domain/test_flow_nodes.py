"""What nodes are told: their stored JSON, which earlier releases wrote too, and the rules between their fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.domain.flow_codec import shown_steps, steps_from_json, steps_to_json
from app.domain.flow_nodes import (
    ApprovalNode,
    BuildNode,
    DeployNode,
    MessageNode,
    NodeSpec,
    Parallel,
    PromoteNode,
    RunNode,
    Step,
    contradictions_of,
    groups_of,
    nodes_of,
    placed,
    retries_of,
    with_each,
)
from app.domain.job.effective import Overrides
from app.domain.job.spec import RunSpec

STORED = json.loads((Path(__file__).parents[2] / "fixtures/flows/nodes.json").read_text())
"""Nodes of every type as the API stored them before they had specifications; secrets are replaced."""


def test_stored_nodes_are_read_and_written_as_they_were() -> None:
    steps = steps_from_json(STORED["nodes"])
    assert json.dumps(steps_to_json(steps)) == json.dumps(STORED["nodes"])
    assert [number for number, group in enumerate(groups_of(steps)) for _ in group] == STORED["groups"]
    assert {node.name: retries_of(node) for node in nodes_of(steps)} == STORED["retries"]


def test_stored_nodes_say_what_they_said() -> None:
    nodes: dict[str, Any] = {node.name: node for node in nodes_of(steps_from_json(STORED["nodes"]))}
    assert nodes["make"] == BuildNode("make", "report")
    assert nodes["from"] == BuildNode("from", "report", ref="main")
    assert nodes["to"] == PromoteNode("to", "main", "report", to="live", retries=0)
    assert nodes["put-latest"] == DeployNode("put-latest", "report", build="latest", retries=1)
    assert nodes["shop"] == DeployNode("shop", app="shop")
    assert nodes["empty"] == RunNode("empty", "report", Overrides(), wait=True)
    assert (nodes["with"].waits, nodes["try"].waits) == (False, True)
    assert nodes["asked"] == ApprovalNode("asked", "Well?")
    assert nodes["posted"] == MessageNode("posted", "Released.", "sealed", 0)


def test_nodes_are_shown_without_what_is_secret() -> None:
    shown = {node["name"]: node for node in shown_steps(steps_from_json(STORED["nodes"])) if "name" in node}
    assert "sealed" not in json.dumps(shown)
    assert shown["posted"]["url"] == "***"
    assert shown["with"]["overrides"]["env"] == {
        "TOKEN": {"value": None, "secret": True, "scope": "run"},
        "MODE": "fast",
        "OLD": None,
        "BOTH": {"value": "x", "secret": False, "scope": "both"},
    }


def test_each_node_has_its_place() -> None:
    a, b, c = ApprovalNode("a"), ApprovalNode("b"), ApprovalNode("c")
    steps = (a, Parallel((b, c)))
    assert list(placed(steps)) == [("nodes.0", a), ("nodes.1.parallel.0", b), ("nodes.1.parallel.1", c)]
    told = with_each(steps, lambda place, node: ApprovalNode(node.name, place))
    assert [node.message for node in nodes_of(told) if isinstance(node, ApprovalNode)] == [
        place for place, _ in placed(steps)
    ]


@pytest.mark.parametrize(
    ("node", "fields"),
    [
        (DeployNode("a", job="report"), []),
        (DeployNode("a", app="shop"), []),
        (DeployNode("a"), ["job"]),
        (DeployNode("a", job="report", app="shop"), ["job"]),
        (DeployNode("a", job="report", app="shop", build=1), ["job", "build"]),
        (DeployNode("a", app="shop", build="latest"), ["build"]),
        (MessageNode("a", "x", retries=1), ["retries"]),
        (MessageNode("a", "x", url="sealed", retries=1), []),
        (PromoteNode("a", "main", "report", to="live", to_stage="production"), ["to_stage"]),
        (PromoteNode("a", "main", "report", to="live"), []),
        (RunNode("a", "report", retries=1), []),
        (RunNode("a", "report", Overrides(image="busybox", build=1)), ["overrides.build"]),
        (RunNode("a", "report", Overrides(RunSpec(command="x", process="web"))), ["overrides.process"]),
    ],
)
def test_what_a_node_may_not_say_together(node: NodeSpec, fields: list[str]) -> None:
    assert [field for field, _ in contradictions_of([node])] == [f"nodes.0.{field}" for field in fields]


def test_names_are_used_once() -> None:
    ask = ApprovalNode("ask")
    steps: list[Step] = [ask, Parallel((ApprovalNode("other"), ask))]
    assert list(contradictions_of(steps)) == [
        ("nodes.1.parallel.1.name", "must be another than that of nodes.0, not 'ask' as well")
    ]
