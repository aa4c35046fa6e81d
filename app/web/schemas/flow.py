"""Release flows and their runs as they are given and shown."""

from __future__ import annotations

from typing import Any

from pydantic import Field, RootModel

from app.commands.flows import FlowDraft
from app.domain.flow_nodes import NodeType
from app.domain.flows import (
    FlowConcurrency,
    FlowRun,
    FlowStatus,
    FlowTrigger,
    FlowTriggerType,
    Node,
    NodeStatus,
)
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import Name, Sha, Time
from app.web.schemas.flow_node import StepForm, steps_of, variables_of

EXAMPLE = {
    "name": "release",
    "nodes": [
        {"name": "image", "type": "build", "job": "report", "retries": 1},
        {
            "parallel": [
                {"name": "today", "type": "run", "job": "report", "overrides": {"env": {"DRY_RUN": "yes"}}},
                {"name": "links", "type": "run", "job": "once", "wait": False},
            ]
        },
        {"name": "ready", "type": "approval", "message": "Does the report look right?"},
        {"name": "done", "type": "message", "message": "Released."},
    ],
    "concurrency": "queue",
}


class FlowForm(Model):
    """What happens in order when the flow is started; `on_push` names the job whose pushes start it."""

    model_config = with_example(EXAMPLE)

    name: Name
    nodes: list[StepForm] = Field(min_length=1, max_length=50)
    concurrency: FlowConcurrency = FlowConcurrency.QUEUE
    on_push: Name | None = Field(default=None, description="a job: every push that is built for it")

    def draft(self) -> FlowDraft:
        return FlowDraft(
            self.name, steps_of(self.nodes), variables_of(self.nodes), self.concurrency, self.on_push
        )


class FlowPatch(RootModel[dict[str, Any]]):
    """Any fields of a flow but its name; nodes are replaced as a whole. Runs keep the nodes they began with."""

    model_config = with_example({"concurrency": "forbid"})


class FlowAnswer(Model):
    """A flow as stored; secret values in its overrides are null."""

    id: int
    project: str
    name: str
    nodes: list[dict[str, Any]] = Field(description="as they were given")
    concurrency: FlowConcurrency
    on_push: str | None
    has_webhook: bool
    warnings: list[str] = Field(description="what is probably not meant, such as a job that would run twice")
    created_at: Time


READ_ONLY = frozenset(FlowAnswer.model_fields) - frozenset(FlowForm.model_fields)


class FlowWebhookAnswer(Model):
    """A POST to this address starts the flow. It is shown once; a new one takes the place of the old."""

    url: str


class FlowStartForm(Model):
    model_config = with_example({"sha": "4f2a9c1d5e6b7a8091a2b3c4d5e6f70812345678"})

    sha: Sha | None = Field(
        default=None, description="the commit that build nodes make; a branch's head if left out"
    )


class FlowTriggerAnswer(Model):
    type: FlowTriggerType
    by: str | None = None
    sha: str | None = None
    build: int | None = Field(default=None, description="that the push began")


class FlowNodeAnswer(Model):
    """`group` numbers what goes side by side; the ids are of what the node started last."""

    name: str
    type: NodeType
    group: int
    status: NodeStatus
    tries: int
    retries: int
    log: list[str]
    build: int | None
    run: int | None
    deployment: int | None
    next_try_at: Time | None = Field(description="when a node that failed is tried again")
    started_at: Time | None
    finished_at: Time | None


class FlowRunAnswer(Model):
    id: int
    project: str
    flow: str
    status: FlowStatus
    trigger: FlowTriggerAnswer
    nodes: list[FlowNodeAnswer]
    cancel_requested_at: Time | None
    created_at: Time
    started_at: Time | None
    finished_at: Time | None


def flow_run_answer(run: FlowRun) -> FlowRunAnswer:
    return FlowRunAnswer(
        id=run.id,
        project=run.project,
        flow=run.flow,
        status=run.status,
        trigger=_trigger_answer(run.trigger),
        nodes=[_node_answer(node) for node in run.nodes],
        cancel_requested_at=run.cancel_requested_at,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
    )


def _trigger_answer(trigger: FlowTrigger) -> FlowTriggerAnswer:
    return FlowTriggerAnswer(type=trigger.type, by=trigger.by, sha=trigger.sha, build=trigger.build_id)


def _node_answer(node: Node) -> FlowNodeAnswer:
    return FlowNodeAnswer(
        name=node.name,
        type=node.type,
        group=node.group,
        status=node.status,
        tries=node.tries,
        retries=node.retries,
        log=list(node.log),
        build=node.build_id,
        run=node.run_id,
        deployment=node.deployment_id,
        next_try_at=node.available_at if node.status is NodeStatus.WAITING else None,
        started_at=node.started_at,
        finished_at=node.finished_at,
    )
