"""Release flows as people, pushes and other programs start, answer and cancel them; `workers.flows` moves them on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from app.commands.continuous_delivery import cancel_build
from app.commands.deployments import cancel_deployment
from app.commands.runs import cancel_run
from app.domain.builds import BuildReason
from app.domain.decisions import EventType, Verdict
from app.domain.errors import Conflict, NotFound
from app.domain.events import short
from app.domain.flow_nodes import NodeType
from app.domain.flows import FlowConcurrency, FlowRun, FlowTrigger, FlowTriggerType, Node, NodeStatus
from app.domain.job.records import Job
from app.runtime.ports import Names
from app.store import builds, decisions, deployments, flows, runs
from app.store.database import Tx
from app.store.flows import Flow


def start_flow_run(tx: Tx, flow: Flow, trigger: FlowTrigger, now: datetime) -> FlowRun:
    """Start a run of the flow.

    The run waits or is refused (Conflict) while another one is going, as the flow's concurrency says.
    """
    flows.lock(tx, flow.id)
    live = flows.live_runs(tx, flow.id)
    if live and flow.concurrency is FlowConcurrency.FORBID:
        raise Conflict(f"Run {live[0]} of flow {flow.name} is not over and the flow's concurrency is forbid.")
    return flows.add_run(tx, flow, trigger, now)


def start_flow_runs_by_push(
    tx: Tx, event_id: str, sha: str, by: str, built: Sequence[tuple[int, Sequence[Job]]], now: datetime
) -> None:
    """Start every flow that waits for pushes to a job of these builds; each has its decision, whether or not it can."""
    for build_id, of_build in built:
        for flow in flows.started_by_pushes(tx, [job.id for job in of_build]):
            what = f"Push of {short(sha)}"
            trigger = FlowTrigger(FlowTriggerType.PUSH, by or None, sha, build_id)
            try:
                run = start_flow_run(tx, flow, trigger, now)
                verdict, rule = Verdict.STARTED, "flow"
                sentence = f"{what}: run {run.id} of flow {flow.name}."
            except Conflict as conflict:
                verdict, rule = Verdict.SKIPPED, "flow:forbid"
                sentence = f"{what}: flow {flow.name} did not start. {conflict}"
            decisions.record(
                tx,
                at=now,
                event=(EventType.PUSH, event_id),
                project_id=flow.project_id,
                job_id=None,
                verdict=verdict,
                rule=rule,
                sentence=sentence,
                inputs={"flow": flow.name, "concurrency": flow.concurrency},
                build_id=build_id,
            )


def answer_approval(tx: Tx, run: FlowRun, name: str, *, approved: bool, who: str, now: datetime) -> FlowRun:
    """Answer an approval node that waits: the run as it is then.

    Raises NotFound for no such node and Conflict for one that doesn't wait.
    """
    flows.lock(tx, run.flow_id)
    run = flows.run_with_id(tx, run.id)
    node = next((node for node in run.nodes if node.name == name), None)
    if node is None:
        raise NotFound(f"Flow run {run.id} has no node named {name}.")
    if node.type is not NodeType.APPROVAL:
        raise Conflict(f"Node {name} is of type {node.type}: only an approval can be approved or declined.")
    if run.cancel_requested_at is not None and not run.status.is_final:
        raise Conflict(f"Flow run {run.id} is being cancelled, so node {name} waits for no answer.")
    if node.status is not NodeStatus.RUNNING:
        raise Conflict(f"Node {name} does not wait for an approval: its status is {node.status}.")
    status = NodeStatus.SUCCEEDED if approved else NodeStatus.FAILED
    say = f"{'Approved' if approved else 'Declined'} by {who}."
    return run.with_node(flows.set_node(tx, run.id, node, status, now, say=say) or node)


def cancel_flow_run(tx: Tx, names: Names, run: FlowRun, who: str, now: datetime) -> FlowRun:
    """Ask for a flow run's end: what its nodes wait for is cancelled, and nothing more is started.

    Raises Conflict if it is over.
    """
    flows.lock(tx, run.flow_id)
    run = flows.run_with_id(tx, run.id)
    if run.status.is_final:
        raise Conflict(f"Flow run {run.id} is over already: its status is {run.status}.")
    run = flows.request_cancel(tx, run, now) or run
    for node in run.nodes:
        if node.status is NodeStatus.RUNNING and not run.lets_go_of(node):
            _cancel_started(tx, names, node, f"{who} with flow run {run.id}", now)
    return run


def _cancel_started(tx: Tx, names: Names, node: Node, who: str, now: datetime) -> None:
    sentence = f"Cancelled by {who}."
    if node.build_id is not None:
        cancel_build(tx, names, builds.with_id(tx, node.build_id), BuildReason.CANCELLED, sentence, now)
    if node.run_id is not None:
        with suppress(Conflict):  # it may be over by now
            cancel_run(tx, runs.with_id(tx, node.run_id), who, now)
    if node.deployment_id is not None:
        with suppress(Conflict):  # once its images have moved, it goes on to its end
            cancel_deployment(tx, deployments.with_id(tx, node.deployment_id), who, now)
