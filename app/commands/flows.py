"""Release flows as people define and change them: every name they mention is looked up, and secrets are sealed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from app.commands.image_ownership import require_usable
from app.commands.image_rollout import build_to_deploy
from app.commands.overrides import seal_overrides
from app.commands.tokens import digest
from app.domain.errors import Conflict, InvalidValue, NotFound, require_consistent
from app.domain.flow_codec import KEPT_URL
from app.domain.flow_nodes import (
    BuildNode,
    DeployNode,
    MessageNode,
    NodeSpec,
    PromoteNode,
    Rules,
    RunNode,
    Steps,
    contradictions_of,
    nodes_of,
    placed,
    with_each,
)
from app.domain.flows import FlowConcurrency
from app.domain.job.drafts import OverridesDraft
from app.domain.job.effective import Overrides
from app.domain.job.records import Job
from app.domain.job.variables import EnvDraft, EnvValue
from app.domain.pipelines import route
from app.domain.references import Ours
from app.domain.sealing import Owner, of_message
from app.runtime.ports import Vault
from app.store import apps, flows, jobs, pipelines
from app.store.database import Tx
from app.store.flows import Flow
from app.store.identity import reserved_id
from app.store.projects import Project

T = TypeVar("T")


@dataclass(frozen=True)
class FlowDraft:
    """A flow as somebody gives it: addresses of messages are in plain text, or KEPT_URL. `on_push` is a job's name.

    `env` has the variables that runs are to have otherwise, by the places of their nodes; those of `steps` don't count.
    """

    name: str
    steps: Steps = field(repr=False)
    env: Mapping[str, Mapping[str, EnvDraft | None]] = field(repr=False)
    concurrency: FlowConcurrency
    on_push: str | None


def save_flow(
    tx: Tx,
    project: Project,
    draft: FlowDraft,
    kept: Flow | None,
    *,
    vault: Vault,
    ours: Ours,
    now: datetime,
) -> Flow:
    """Make a flow or, where there is a `kept` one, change it; secrets without a value stay as they are in it.

    Raises Contradictions, which name every field that is wrong, or InvalidValue, or Conflict if the name is taken.
    """
    push_job_id = check_flow(tx, project, draft)
    flow_id = reserved_id(tx, "flow") if kept is None else kept.id
    before = {} if kept is None else {node.name: node for node in nodes_of(kept.steps)}

    def sealed(place: str, node: NodeSpec) -> NodeSpec:
        match node:
            case MessageNode(url=str()):
                seal = partial(vault.seal, place=of_message(project.id, flow_id, node.name))
                return _with_sealed_url(place, node, before.get(node.name), seal)
            case RunNode(overrides=Overrides() as overrides):
                if overrides.image is not None:
                    require_usable(tx, ours, project.id, overrides.image, f"{place}.overrides.image")
                job = jobs.named(tx, project.name, node.job)
                given = OverridesDraft(overrides, draft.env.get(place, {}))
                kept_env = _variables_of(before.get(node.name))
                owner = Owner.flow(project.id, flow_id)
                stored = seal_overrides(tx, job, given, vault, owner, kept_env, f"{place}.overrides.")
                return replace(node, overrides=stored)
            case _:
                return node

    flows.save(
        tx,
        project.id,
        draft.name,
        with_each(draft.steps, sealed),
        concurrency=draft.concurrency,
        push_job_id=push_job_id,
        now=now,
        flow_id=flow_id,
    )
    return flows.named(tx, project.name, draft.name)


def check_flow(tx: Tx, project: Project, draft: FlowDraft) -> int | None:
    """Look whether a flow makes sense in its project; returns the id of the job whose pushes start it, if one's do.

    Raises Contradictions, which name every field that is wrong, or InvalidValue.
    """
    require_consistent(contradictions_of(draft.steps))
    require_consistent(
        (f"{place}.{field}", rule)
        for place, node in placed(draft.steps)
        for field, rule in _references(tx, project, node)
    )
    return None if draft.on_push is None else _built_job(tx, project, draft.on_push).id


def issue_webhook(tx: Tx, flow: Flow) -> str:
    """The token of a new address that starts the flow; it is shown once, and takes the place of the one before."""
    token = secrets.token_urlsafe(32)
    flows.set_webhook(tx, flow.id, digest(token))
    return token


def flow_of_webhook(tx: Tx, token: str) -> Flow:
    """The flow that the token's address starts. Raises NotFound.

    Only the token's hash is looked up, so the time it takes tells nothing.
    """
    flow = flows.with_webhook(tx, digest(token))
    if flow is None:
        raise NotFound("There is no flow with this webhook address.")
    return flow


def _with_sealed_url(
    place: str, node: MessageNode, before: NodeSpec | None, seal: Callable[[str], str]
) -> MessageNode:
    if node.url is not None and node.url != KEPT_URL:
        return replace(node, url=seal(node.url))
    if not isinstance(before, MessageNode) or before.url is None:
        field = f"{place}.url"
        raise InvalidValue(field, f"{field} is only how an address is shown, and the node has none: give it.")
    return replace(node, url=before.url)


def _variables_of(node: NodeSpec | None) -> Mapping[str, EnvValue | None]:
    overrides = node.overrides if isinstance(node, RunNode) else None
    return {} if overrides is None else overrides.env


def _built_job(tx: Tx, project: Project, name: str) -> Job:
    job = _found(jobs.named, tx, project, name)
    if job is None or job.source is None:
        rule = f"must name a job of project {project.name} that is built, not {name!r}"
        raise InvalidValue("on_push", f"on_push {rule}.")
    return job


def _references(tx: Tx, project: Project, node: NodeSpec) -> Rules:
    """Names that nothing has, and what can never be done with what they name."""
    match node:
        case BuildNode(job=name):
            yield from _of_job(tx, project, name, must_be_built=True)
        case RunNode(job=name):
            yield from _of_job(tx, project, name, must_be_built=False)
        case DeployNode(app=str(name)) if _found(apps.named, tx, project, name) is None:
            yield "app", f"must name an app of project {project.name}, not {name!r}"
        case DeployNode(job=str(name), build=build):
            wrong = list(_of_job(tx, project, name, must_be_built=True))
            yield from wrong
            if not wrong and isinstance(build, int):
                yield from _of_build(tx, jobs.named(tx, project.name, name), build)
        case PromoteNode():
            yield from _of_promotion(tx, project, node)


def _of_job(tx: Tx, project: Project, name: str, *, must_be_built: bool) -> Rules:
    job = _found(jobs.named, tx, project, name)
    if job is None:
        yield "job", f"must name a job of project {project.name}, not {name!r}"
    elif must_be_built and job.source is None:
        yield "job", f"must name a job that is built from a repository, which {job.name} is not"


def _of_build(tx: Tx, job: Job, build_id: int) -> Rules:
    try:
        build_to_deploy(tx, job, build_id)
    except InvalidValue as error:
        yield "build", str(error).removeprefix("build ").rstrip(".")


def _of_promotion(tx: Tx, project: Project, node: PromoteNode) -> Iterator[tuple[str, str]]:
    pipeline = _found(pipelines.named, tx, project, node.pipeline)
    if pipeline is None:
        yield "pipeline", f"must name a pipeline of project {project.name}, not {node.pipeline!r}"
        return
    try:
        route(pipeline, node.source, to=node.to, to_stage=node.to_stage, may_skip_stages=False)
    except InvalidValue as error:
        yield error.field, f"can't be so: {str(error).rstrip('.')}"
    except Conflict as error:
        yield "to" if node.to else "to_stage", f"can't be so: {str(error).rstrip('.')}"


def _found(named: Callable[[Tx, str, str], T], tx: Tx, project: Project, name: str) -> T | None:
    try:
        return named(tx, project.name, name)
    except NotFound:
        return None
