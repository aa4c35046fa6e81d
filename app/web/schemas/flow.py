"""Release flows and their runs as they are given and shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, RootModel, Tag, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, InitErrorDetails

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
from app.web.numbers import LARGEST
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import Address, BranchName, Name, Sha, Text, Time
from app.web.schemas.run import OverridesForm
from app.web.schemas.tagged import names_of, rule, same, told_by, translated, without_nulls

BuildId = Annotated[int, Field(ge=1, le=LARGEST)]
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


Retries = Annotated[int, Field(ge=0, le=10)]


class NodeForm(Model):
    """What every node has."""

    name: Name


class BuildNodeForm(NodeForm):
    """Build a job's image, and wait for it."""

    type: Literal[NodeType.BUILD]
    job: Name
    sha: Sha | None = Field(default=None, description="the commit that started the flow if left out")
    ref: BranchName | None = Field(default=None, description="a branch; the tracked one if left out")
    retries: Retries | None = Field(default=None, description="none if left out")


class PromoteNodeForm(NodeForm):
    """Promote what a component of a pipeline has."""

    type: Literal[NodeType.PROMOTE]
    pipeline: Name
    from_: Name = Field(alias="from", description="whose image goes on")
    to: Name | None = Field(default=None, description="the component that gets it")
    to_stage: Name | None = Field(default=None, description="the next stage if left out")
    retries: Retries | None = Field(default=None, description="none if left out")


class DeployNodeForm(NodeForm):
    """Deploy a build to a job, or the latest builds to an app."""

    type: Literal[NodeType.DEPLOY]
    job: Name | None = None
    app: Name | None = Field(default=None, description="instead of job: the latest builds of its jobs")
    build: BuildId | Literal["latest"] | None = Field(
        default=None, description="for a job: latest if left out"
    )
    retries: Retries | None = Field(default=None, description="none if left out")


class RunNodeForm(NodeForm):
    """Run a job."""

    type: Literal[NodeType.RUN]
    job: Name
    overrides: OverridesForm | None = Field(default=None, description="what is different in this run")
    wait: bool | None = Field(default=None, description="until it is over; true if left out")
    retries: Retries | None = Field(default=None, description="none if left out")


class ApprovalNodeForm(NodeForm):
    """Wait until somebody approves."""

    type: Literal[NodeType.APPROVAL]
    message: Text | None = Field(default=None, description="what is asked")


class MessageNodeForm(NodeForm):
    """Leave a message in the node's log, and at an address."""

    type: Literal[NodeType.MESSAGE]
    message: Text
    url: Address | None = Field(
        default=None,
        description='where it is posted as {"text": …}, as chats such as Slack take it; shown as ***, '
        "which leaves it as it was",
    )
    retries: Retries | None = Field(
        default=None, description="three if left out; only for a message that has a url"
    )


NODES: tuple[type[NodeForm], ...] = (
    BuildNodeForm,
    PromoteNodeForm,
    DeployNodeForm,
    RunNodeForm,
    ApprovalNodeForm,
    MessageNodeForm,
)
NODE_FIELDS = frozenset[str]().union(*map(names_of, NODES))
AnyNodeForm = Annotated[
    BuildNodeForm | PromoteNodeForm | DeployNodeForm | RunNodeForm | ApprovalNodeForm | MessageNodeForm,
    Field(discriminator="type"),
    told_by("type", "a node of type", *NODES),
]


class ParallelForm(Model):
    """Nodes that go side by side."""

    parallel: list[AnyNodeForm] = Field(min_length=1, max_length=20)


def _step(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, dict):
        value = without_nulls(value, NODE_FIELDS if _kind_of_step(value) == "parallel" else PARALLEL)

    def line_of(error: ErrorDetails) -> InitErrorDetails:
        match error["type"], error["loc"]:
            case "extra_forbidden", ("parallel", str(name)) if name in NODE_FIELDS:
                return rule(error, (name,), "can't be set beside parallel: put it into a node of it")
            case _, loc:
                return same(error, loc[1:])

    return translated(handler, value, line_of)


PARALLEL = names_of(ParallelForm)


def _kind_of_step(value: Any) -> str:
    is_group = isinstance(value, dict) and value.get("parallel") is not None
    return "parallel" if is_group else "node"


StepForm = Annotated[
    Annotated[AnyNodeForm, Tag("node")] | Annotated[ParallelForm, Tag("parallel")],
    Discriminator(_kind_of_step),
    WrapValidator(_step),
]


class FlowForm(Model):
    """What happens in order when the flow is started; `on_push` names the job whose pushes start it."""

    model_config = with_example(EXAMPLE)

    name: Name
    nodes: list[StepForm] = Field(min_length=1, max_length=50)
    concurrency: FlowConcurrency = FlowConcurrency.QUEUE
    on_push: Name | None = Field(default=None, description="a job: every push that is built for it")


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
