"""A release flow's run: answers to it, its cancel, and what became of its nodes."""

from __future__ import annotations

from app.commands import flow_runs
from app.domain.flows import FlowRun
from app.store import flows
from app.store.flows import Flow
from tests.support.installation import Installation
from tests.support.loops import Server


def answer(place: Installation, run_id: int, *, approved: bool = True, node: str = "ask") -> None:
    with place.db.write() as tx:
        run = flows.run_with_id(tx, run_id)
        flow_runs.answer_approval(tx, run, node, approved=approved, who="ada", now=place.clock.now())


def cancel(place: Installation, run_id: int) -> None:
    with place.db.write() as tx:
        run = flows.run_with_id(tx, run_id)
        flow_runs.cancel_flow_run(tx, place.names, run, "ada", place.clock.now())


def states(run: FlowRun) -> dict[str, str]:
    return {node.name: str(node.status) for node in run.nodes}


def log_of(run: FlowRun, name: str) -> list[str]:
    """What the node said, without the times."""
    node = next(node for node in run.nodes if node.name == name)
    return [line.split(" ", 1)[1] for line in node.log]


def ended(place: Installation, server: Server, flow: Flow) -> FlowRun:
    """A run of the flow after everything has been done that can be."""
    run_id = place.start(flow)
    server.work()
    return place.flow_run(run_id)
