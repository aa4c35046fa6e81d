"""Transitions of deployments and flow runs return the row as it is then, and nothing to whoever comes late."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.domain.deployments import Cause, Deployment, DeploymentStatus, Phase, StepKind, StepStatus
from app.domain.flow_nodes import ApprovalNode
from app.domain.flows import (
    FlowConcurrency,
    FlowRun,
    FlowStatus,
    FlowTrigger,
    FlowTriggerType,
    NodeStatus,
    Started,
)
from app.domain.job.records import Job
from app.store import apps, deployments, flows
from app.store.database import Database
from app.store.deployments import NewStep
from tests.support.stored import NOW

LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def deployment(db: Database, job: Job) -> Deployment:
    """It is running, and has a hook before and one after the move."""
    with db.write() as tx:
        app_id = apps.create(tx, job.project_id, "shop", NOW)
        made = deployments.create(
            tx,
            project_id=job.project_id,
            app_id=app_id,
            cause=Cause.API,
            by="ada",
            sentence="Deploy by ada.",
            sha=None,
            images={},
            keeps_cd=False,
            with_hooks=True,
            steps=[NewStep(kind) for kind in (StepKind.PRE_DEPLOY, StepKind.MOVE, StepKind.POST_DEPLOY)],
            now=NOW,
        )
        assert made == deployments.with_id(tx, made.id)
        begun = deployments.begin_next(tx, app_id, NOW)
        assert begun == deployments.with_id(tx, made.id)
        assert deployments.begin_next(tx, app_id, LATER) is None
    assert begun is not None
    assert (begun.status, begun.started_at) == (DeploymentStatus.RUNNING, NOW)
    return begun


def test_a_phase_is_left_once(db: Database, deployment: Deployment) -> None:
    with db.write() as tx:
        entered = deployments.enter(tx, deployment, Phase.POST_DEPLOY)
        assert entered == deployments.with_id(tx, deployment.id)
        assert deployments.enter(tx, deployment, Phase.FAILED_DEPLOY, warning="It failed.") is None
        assert deployments.request_cancel(tx, deployment, "Cancelled by ada.", LATER) is None
        assert deployments.end(tx, deployment, DeploymentStatus.CANCELLED, "", LATER) is None
        assert entered == deployments.with_id(tx, deployment.id)
    assert entered is not None
    assert (entered.phase, entered.warning) == (Phase.POST_DEPLOY, "")


def test_a_deployment_ends_once_with_its_steps(db: Database, deployment: Deployment) -> None:
    with db.write() as tx:
        ended = deployments.end(tx, deployment, DeploymentStatus.CANCELLED, "Cancelled.", LATER)
        assert ended == deployments.with_id(tx, deployment.id)
        assert deployments.end(tx, deployment, DeploymentStatus.FAILED, "Failed.", LATER) is None
    assert ended is not None
    assert (ended.phase, ended.status, ended.finished_at) == (Phase.DONE, DeploymentStatus.CANCELLED, LATER)
    assert {step.status for step in ended.steps} == {StepStatus.SKIPPED}


def test_a_cancel_keeps_its_first_time_and_its_last_sentence(db: Database, deployment: Deployment) -> None:
    with db.write() as tx:
        deployments.request_cancel(tx, deployment, "Cancelled by ada.", NOW)
        asked = deployments.request_cancel(tx, deployment, "Cancelled by bob.", LATER)
        assert asked == deployments.with_id(tx, deployment.id)
    assert asked is not None
    assert (asked.cancel_requested_at, asked.warning) == (NOW, "Cancelled by bob.")


def test_a_step_changes_as_whoever_changes_it_has_seen_it(db: Database, deployment: Deployment) -> None:
    first = deployment.steps[0]
    with db.write() as tx:
        started = deployments.set_step(tx, deployment, first, StepStatus.RUNNING, NOW)
        assert started is not None
        assert (
            deployments.set_step(tx, deployment, first, StepStatus.SKIPPED, LATER, sentence="Late.") is None
        )
        failed = deployments.set_step(tx, deployment, started, StepStatus.FAILED, LATER, sentence="Exited.")
        assert deployments.with_id(tx, deployment.id).steps[0] == failed
    assert failed is not None
    assert (failed.started_at, failed.finished_at, failed.sentence) == (NOW, LATER, "Exited.")


@pytest.fixture
def flow_run(db: Database, job: Job) -> FlowRun:
    with db.write() as tx:
        flow_id = flows.save(
            tx,
            job.project_id,
            "release",
            (ApprovalNode(name="ask"),),
            concurrency=FlowConcurrency.QUEUE,
            push_job_id=None,
            now=NOW,
        )
        flow = next(each for each in flows.page(tx, project_id=None, limit=9) if each.id == flow_id)
        run = flows.add_run(tx, flow, FlowTrigger(FlowTriggerType.API, "ada"), NOW)
        assert run == flows.run_with_id(tx, run.id)
    return run


def test_a_flow_run_begins_and_ends_once(db: Database, flow_run: FlowRun) -> None:
    with db.write() as tx:
        begun = flows.set_status(tx, flow_run, FlowStatus.RUNNING, NOW)
        assert begun == flows.run_with_id(tx, flow_run.id)
        assert begun is not None
        assert flows.set_status(tx, flow_run, FlowStatus.CANCELLED, LATER) is None
        asked = flows.request_cancel(tx, begun, NOW)
        assert flows.request_cancel(tx, begun, LATER) == asked
        ended = flows.set_status(tx, begun, FlowStatus.CANCELLED, LATER)
        assert flows.request_cancel(tx, begun, LATER) is None
        assert ended == flows.run_with_id(tx, flow_run.id)
    assert ended is not None
    assert (ended.started_at, ended.cancel_requested_at, ended.finished_at) == (NOW, NOW, LATER)


def test_a_node_changes_as_whoever_changes_it_has_seen_it(db: Database, flow_run: FlowRun) -> None:
    node = flow_run.nodes[0]
    with db.write() as tx:
        again = Started(available_at=LATER)
        tried = flows.set_node(
            tx, flow_run.id, node, NodeStatus.WAITING, NOW, say="No.", tries=1, started=again
        )
        assert tried is not None
        assert flows.set_node(tx, flow_run.id, node, NodeStatus.WAITING, NOW, say="Lost.", tries=1) is None
        done = flows.set_node(tx, flow_run.id, tried, NodeStatus.SUCCEEDED, LATER, say="Yes.")
        assert flows.run_with_id(tx, flow_run.id).nodes == (done,)
    assert done is not None
    assert [line.split(" ", 1)[1] for line in done.log] == ["No.", "Yes."]
    assert (done.tries, done.available_at, done.finished_at) == (1, LATER, LATER)
