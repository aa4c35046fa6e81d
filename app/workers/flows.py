"""Release flows, moved on a transaction at a time: what a node starts is committed with the node that waits for it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from app.commands.builds import request_build
from app.commands.deployment_requests import deploy_latest
from app.commands.image_rollout import build_to_deploy, deploy_job, image_of
from app.commands.promotions import promote_component
from app.commands.runs import image_for_run, start_run
from app.domain.deployments import DeploymentStatus
from app.domain.errors import UserError
from app.domain.events import repo_key
from app.domain.flow_nodes import ApprovalNode, BuildNode, DeployNode, MessageNode, PromoteNode, RunNode
from app.domain.flows import (
    End,
    FlowConcurrency,
    FlowRun,
    FlowStatus,
    Node,
    NodeStatus,
    Start,
    Started,
    Wait,
    next_move,
)
from app.domain.job.effective import NOTHING
from app.domain.retry import Backoff, delay_after
from app.domain.runs import Trigger, TriggerType
from app.runtime.ports import Clock, Names, Vault
from app.store import apps, builds, deployments, flows, jobs, pipelines, runs
from app.store.database import Database, StoreUnavailable, Tx

log = logging.getLogger(__name__)
Step = tuple[NodeStatus, str, Started]  # what became of a node, what to say about it, and what it waits for


@dataclass(frozen=True)
class FlowWorker:
    """Moves every unfinished flow run on as far as it goes."""

    db: Database
    clock: Clock
    names: Names
    vault: Vault

    def step(self) -> bool:
        """True if anything moved. A flow that meets a fault of ours does not hold up the others."""
        with self.db.read() as tx:
            unfinished = flows.unfinished(tx)
        return sum(self._try_to_advance(run_id) for run_id in unfinished) > 0

    def _try_to_advance(self, run_id: int) -> bool:
        try:
            return self._advance(run_id)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("flow run %s could not go on", run_id)
            return False

    def _advance(self, run_id: int) -> bool:
        with self.db.read() as tx:
            seen = flows.run_with_id(tx, run_id)
            if not _may_move(tx, seen, self.clock.now()):
                return False
        with self.db.write() as tx:
            flows.lock(tx, seen.flow_id)
            now = self.clock.now()
            run = flows.run_with_id(tx, run_id)
            if run.status.is_final or not _may_begin(tx, run):
                return False
            if run.status is FlowStatus.QUEUED and run.cancel_requested_at is None:
                run = flows.set_status(tx, run, FlowStatus.RUNNING, now) or run
            run = _settled(tx, run, now)
            match next_move(run, now):
                case Wait():
                    return run != seen
                case Start(node):
                    self._start(tx, run, node, now)
                case End(status):
                    _end(tx, run, status, now)
            return True

    def _start(self, tx: Tx, run: FlowRun, node: Node, now: datetime) -> None:
        """Begin a node; what it can't do is its failure, told in its log."""
        try:
            with tx.begin_nested():
                status, say, started = self._do(tx, run, node, now)
        except UserError as error:
            fail_node(tx, run, node, node.tries + 1, str(error), now)
            return
        flows.set_node(tx, run.id, node, status, now, say=say, tries=node.tries + 1, started=started)

    def _do(self, tx: Tx, run: FlowRun, node: Node, now: datetime) -> Step:
        """Return what the node does, what to say about it, and what it started."""
        who = f"flow {run.flow}"
        match node.spec:
            case BuildNode() as spec:
                return _build(tx, self.vault, run, spec, node.tries, who, now)
            case PromoteNode() as spec:
                return self._promote(tx, run, spec, who, now)
            case DeployNode() as spec:
                return self._deploy(tx, run, spec, who, now)
            case RunNode() as spec:
                return self._run(tx, run, spec, who, now)
            case ApprovalNode(message=message):
                return NodeStatus.RUNNING, message or "Waits for somebody's approval.", Started()
            case MessageNode(message=message, url=str()):
                return NodeStatus.RUNNING, message, Started(available_at=now)
            case MessageNode(message=message):
                return NodeStatus.SUCCEEDED, message, Started()

    def _promote(self, tx: Tx, run: FlowRun, node: PromoteNode, who: str, now: datetime) -> Step:
        pipeline = pipelines.named(tx, run.project, node.pipeline)
        promotion = promote_component(
            tx,
            self.names,
            pipeline,
            node.source,
            to=node.to,
            to_stage=node.to_stage,
            may_skip_stages=False,
            confirm_paused=False,
            who=who,
            now=now,
        )
        if promotion.deployment_id is None:
            return NodeStatus.SUCCEEDED, promotion.sentence, Started()
        return NodeStatus.RUNNING, promotion.sentence, Started(deployment_id=promotion.deployment_id)

    def _deploy(self, tx: Tx, run: FlowRun, node: DeployNode, who: str, now: datetime) -> Step:
        if node.app is not None:
            made = deploy_latest(tx, apps.named(tx, run.project, node.app), who, now)
            return NodeStatus.RUNNING, f"Deployment {made.id} asked for.", Started(deployment_id=made.id)
        assert node.job is not None
        job = jobs.named(tx, run.project, node.job)
        chosen = node.build if isinstance(node.build, int) else None
        build = build_to_deploy(tx, job, chosen)
        deploy_job(
            tx,
            self.names,
            job,
            image_of(build, job, now),
            latest=chosen is None,
            confirm_paused=False,
            who=who,
            now=now,
        )
        return NodeStatus.SUCCEEDED, f"Build {build.id} deployed to {job.name}.", Started()

    def _run(self, tx: Tx, run: FlowRun, node: RunNode, who: str, now: datetime) -> Step:
        job = jobs.named(tx, run.project, node.job)
        trigger = Trigger(TriggerType.FLOW, by=who)
        overrides = node.overrides or NOTHING
        image = image_for_run(
            tx,
            job,
            image=overrides.image,
            build_id=overrides.build,
            sha=overrides.sha,
            now=now,
        )
        run_id = start_run(tx, self.names, job, overrides, trigger, now, image)
        status = NodeStatus.RUNNING if node.waits else NodeStatus.SUCCEEDED
        return status, f"Run {runs.with_id(tx, run_id).name} asked for.", Started(run_id=run_id)


def _build(tx: Tx, vault: Vault, run: FlowRun, node: BuildNode, tries: int, who: str, now: datetime) -> Step:
    """The build that the flow's push has been given already, where the node's job has part in it; else a new one."""
    job = jobs.named(tx, run.project, node.job)
    sha, branch = node.sha, node.ref
    if sha is None and branch is None and job.source is not None:
        pushed = run.trigger.build_id
        sources = builds.sources_of(tx, pushed) if pushed is not None else ()
        if job.source.id in sources and tries == 0:
            return NodeStatus.RUNNING, f"Build {pushed} is that of the push.", Started(build_id=pushed)
        of_push = builds.with_id(tx, pushed) if pushed is not None else None
        if of_push is None or repo_key(of_push.url) == job.source.repo_key:
            sha = run.trigger.sha
    build_id = request_build(tx, job, sha=sha, branch=branch, who=who, now=now, vault=vault)
    return NodeStatus.RUNNING, f"Build {build_id} asked for.", Started(build_id=build_id)


def _may_move(tx: Tx, run: FlowRun, now: datetime) -> bool:
    if run.status is FlowStatus.QUEUED:
        return run.cancel_requested_at is not None or _may_begin(tx, run)
    running = [node for node in run.nodes if node.status is NodeStatus.RUNNING]
    settling = any(run.lets_go_of(node) or _outcome(tx, node) is not None for node in running)
    return settling or not isinstance(next_move(run, now), Wait)


def _may_begin(tx: Tx, run: FlowRun) -> bool:
    """Return whether it has begun, or no other run of the flow is in its way."""
    if run.status is not FlowStatus.QUEUED:
        return True
    flow = flows.named(tx, run.project, run.flow)
    if flow.concurrency is FlowConcurrency.ALLOW or run.cancel_requested_at is not None:
        return True
    return not flows.live_runs(tx, flow.id, FlowStatus.RUNNING) and flows.live_runs(tx, flow.id)[0] == run.id


def _settled(tx: Tx, run: FlowRun, now: datetime) -> FlowRun:
    """Nodes whose build, run or deployment is over take its outcome."""
    for node in run.nodes:
        if node.status is NodeStatus.RUNNING:
            run = run.with_node(_settle(tx, run, node, now) or node)
    return run


def _settle(tx: Tx, run: FlowRun, node: Node, now: datetime) -> Node | None:
    """The running node as it is now, or None if nothing has changed."""
    outcome = _outcome(tx, node)
    if outcome is None:
        if not run.lets_go_of(node):
            return None
        return flows.set_node(tx, run.id, node, NodeStatus.SKIPPED, now, say="The flow was cancelled.")
    succeeded, say = outcome
    if succeeded:
        return flows.set_node(tx, run.id, node, NodeStatus.SUCCEEDED, now, say=say)
    return fail_node(tx, run, node, node.tries, say, now)


def _outcome(tx: Tx, node: Node) -> tuple[bool, str] | None:
    """Return whether what the node started succeeded, and a sentence; None while it is going."""
    if node.build_id is not None:
        build = builds.with_id(tx, node.build_id)
        final, succeeded, say = build.status.is_final, build.status == "succeeded", build.sentence
        what = f"Build {build.id} {build.status}"
    elif node.run_id is not None:
        run = runs.with_id(tx, node.run_id)
        final, succeeded, say = run.status.is_final, run.status == "succeeded", run.sentence
        what = f"Run {run.name} {run.status}"
    elif node.deployment_id is not None:
        deployment = deployments.with_id(tx, node.deployment_id)
        final = deployment.status.is_final
        succeeded, say = deployment.status is DeploymentStatus.SUCCEEDED, deployment.warning
        what = f"Deployment {deployment.id} {deployment.status}"
    else:
        return None
    if not final:
        return None
    return succeeded, f"{what}: {say}" if say else f"{what}."


def fail_node(tx: Tx, run: FlowRun, node: Node, tries: int, say: str, now: datetime) -> Node | None:
    """Let a node fail after that many tries: it waits to be tried again if it has retries left, else it has failed."""
    if tries > node.retries or run.cancel_requested_at is not None:
        return flows.set_node(tx, run.id, node, NodeStatus.FAILED, now, say=say, tries=tries)
    delay = delay_after(tries, Backoff.EXPONENTIAL)
    again = f"{say} Trying again in {round(delay.total_seconds())} s ({tries} of {node.retries})."
    afresh = Started(available_at=now + delay)
    return flows.set_node(tx, run.id, node, NodeStatus.WAITING, now, say=again, tries=tries, started=afresh)


def _end(tx: Tx, run: FlowRun, status: FlowStatus, now: datetime) -> None:
    for node in run.nodes:
        if not node.status.is_over:
            say = "Not tried again: the flow was cancelled." if node.tries else "Not reached."
            flows.set_node(tx, run.id, node, NodeStatus.SKIPPED, now, say=say)
    flows.set_status(tx, run, status, now)
