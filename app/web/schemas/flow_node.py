"""The nodes of release flows as they are given: each type takes fields of its own, and the description says which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, InitErrorDetails

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
    Steps,
)
from app.domain.job.variables import EnvDraft
from app.web.numbers import LARGEST
from app.web.schemas.base import Model, one_of
from app.web.schemas.drafts import overrides_draft
from app.web.schemas.fields import Address, BranchName, Name, Sha, Text
from app.web.schemas.run import OverridesForm
from app.web.schemas.tagged import names_of, rule, same, told_by, translated, without_nulls

BuildId = Annotated[int, Field(ge=1, le=LARGEST)]
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

    model_config = ConfigDict(json_schema_extra={"allOf": [one_of("to", "to_stage", at_most=True)]})

    type: Literal[NodeType.PROMOTE]
    pipeline: Name
    from_: Name = Field(alias="from", description="whose image goes on")
    to: Name | None = Field(default=None, description="the component that gets it")
    to_stage: Name | None = Field(default=None, description="the next stage if left out")
    retries: Retries | None = Field(default=None, description="none if left out")


class DeployNodeForm(NodeForm):
    """Deploy a build to a job, or the latest builds to an app."""

    model_config = ConfigDict(json_schema_extra={"allOf": [one_of("job", "app")]})

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


def steps_of(given: Sequence[StepForm]) -> Steps:
    """The steps as they are to be stored, but for secrets and for variables of runs (`variables_of`)."""
    return tuple(
        Parallel(tuple(map(_node_of, step.parallel))) if isinstance(step, ParallelForm) else _node_of(step)
        for step in given
    )


def variables_of(given: Sequence[StepForm]) -> dict[str, Mapping[str, EnvDraft | None]]:
    """The variables that the nodes' runs are to have otherwise, by the nodes' places."""
    return {
        place: overrides_draft(node.overrides).env
        for place, node in _placed(given)
        if isinstance(node, RunNodeForm) and node.overrides is not None
    }


def _placed(given: Sequence[StepForm]) -> Iterator[tuple[str, AnyNodeForm]]:
    for number, step in enumerate(given):
        if isinstance(step, ParallelForm):
            yield from ((f"nodes.{number}.parallel.{at}", node) for at, node in enumerate(step.parallel))
        else:
            yield f"nodes.{number}", step


def _node_of(form: AnyNodeForm) -> NodeSpec:
    match form:
        case BuildNodeForm():
            return BuildNode(form.name, form.job, form.sha, form.ref, form.retries)
        case PromoteNodeForm():
            return PromoteNode(form.name, form.pipeline, form.from_, form.to, form.to_stage, form.retries)
        case DeployNodeForm():
            return DeployNode(form.name, form.job, form.app, form.build, form.retries)
        case RunNodeForm():
            overrides = None if form.overrides is None else overrides_draft(form.overrides).overrides
            return RunNode(form.name, form.job, overrides, form.wait, form.retries)
        case ApprovalNodeForm():
            return ApprovalNode(form.name, form.message)
        case MessageNodeForm():
            return MessageNode(form.name, form.message, form.url, form.retries)
