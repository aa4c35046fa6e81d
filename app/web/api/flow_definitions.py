"""Between the form of a flow and its nodes: what is given becomes a draft, what is stored is shown without secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.commands.flows import KEPT, FlowDraft
from app.commands.overrides import seal_overrides
from app.commands.variables import unmasked
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
    Steps,
    nodes_of,
    steps_to_json,
)
from app.domain.job.codec import overrides_from_json, shown_overrides
from app.domain.job.effective import Overrides
from app.domain.job.records import Job
from app.domain.job.rules import of_overrides
from app.domain.job.variables import EnvValue
from app.runtime.ports import Vault
from app.web.schemas.drafts import overrides_draft
from app.web.schemas.flow import (
    AnyNodeForm,
    ApprovalNodeForm,
    BuildNodeForm,
    DeployNodeForm,
    FlowForm,
    MessageNodeForm,
    ParallelForm,
    PromoteNodeForm,
    RunNodeForm,
)
from app.web.schemas.run import OverridesForm


def draft_of(form: FlowForm) -> FlowDraft:
    return FlowDraft(form.name, _steps_of(form), form.concurrency, form.on_push)


def _steps_of(form: FlowForm) -> Steps:
    return tuple(
        Parallel(tuple(map(_node_of, step.parallel))) if isinstance(step, ParallelForm) else _node_of(step)
        for step in form.nodes
    )


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


class GivenOverrides:
    """The overrides that a form gives to the runs of its nodes, by the nodes' places."""

    def __init__(self, form: FlowForm, vault: Vault) -> None:
        self._drafts = {place: overrides_draft(given) for place, given in _overrides_in(form)}
        self._vault = vault

    def contradictions(self) -> Iterator[tuple[str, str]]:
        for place, draft in self._drafts.items():
            yield from of_overrides(draft.overrides, f"{place}.overrides.")

    def sealed(self, place: str, job: Job, kept_env: Mapping[str, EnvValue | None]) -> Overrides:
        return seal_overrides(job, self._drafts[place], self._vault, kept_env, f"{place}.overrides.")


def _overrides_in(form: FlowForm) -> Iterator[tuple[str, OverridesForm]]:
    for number, step in enumerate(form.nodes):
        inner = step.parallel if isinstance(step, ParallelForm) else [step]
        for at, node in enumerate(inner):
            place = f"nodes.{number}.parallel.{at}" if isinstance(step, ParallelForm) else f"nodes.{number}"
            if isinstance(node, RunNodeForm) and node.overrides is not None:
                yield place, node.overrides


def unmasked_in(steps: Sequence[Step], vault: Vault) -> list[str]:
    """Warnings about secrets of the nodes' runs that are too short to be masked."""
    overrides = (node.overrides for node in nodes_of(steps) if isinstance(node, RunNode))
    envs = ({} if each is None else each.env for each in overrides)
    given = ({name: value for name, value in env.items() if value is not None} for env in envs)
    return [said for env in given for said in unmasked(env, vault)]


def shown_nodes(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The nodes as they could be given again: secrets are there, without their values."""
    return [
        {"parallel": [_shown(node) for node in document["parallel"]]}
        if "parallel" in document
        else _shown(document)
        for document in steps_to_json(steps)
    ]


def _shown(node: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(node)
    if "url" in node:
        shown["url"] = KEPT
    if "overrides" in node:
        shown["overrides"] = shown_overrides(overrides_from_json(node["overrides"]))
    return shown
