"""What a release flow would do that is probably not meant, said when it is saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from app.commands.variables import unmasked
from app.domain.errors import UserError
from app.domain.flow_nodes import BuildNode, DeployNode, NodeSpec, PromoteNode, RunNode, Step, nodes_of
from app.domain.job.records import Job
from app.domain.pipelines import route
from app.domain.rollout import forecast
from app.domain.rules import ImageEvent
from app.runtime.ports import Vault
from app.store import apps, jobs, pipelines
from app.store.apps import App
from app.store.database import Tx
from app.store.flows import Flow


def warnings_of(tx: Tx, flow: Flow, vault: Vault) -> list[str]:
    """A sentence for each job that would run twice, and for each secret that is too short to be masked in logs."""
    return [*_running_twice(tx, flow.project, flow.steps), *_unmasked(flow, vault)]


def _unmasked(flow: Flow, vault: Vault) -> list[str]:
    given = (node.overrides for node in nodes_of(flow.steps) if isinstance(node, RunNode))
    known = [each.env for each in given if each is not None]
    set_here = [{name: value for name, value in env.items() if value is not None} for env in known]
    return [said for env in set_here for said in unmasked(env, vault, flow.project_id)]


def _running_twice(tx: Tx, project: str, steps: Sequence[Step]) -> list[str]:
    """Those that a node runs, and for which another moves an image, which runs them too."""
    nodes = nodes_of(steps)
    asked = {node.job: node.name for node in nodes if isinstance(node, RunNode)}
    return [
        f"Job {job} would run twice: node {asked[job]} runs it, and so does node {node.name}, because {why}."
        for node in nodes
        for job, why in _runs_by(tx, project, node)
        if job in asked
    ]


def _runs_by(tx: Tx, project: str, node: NodeSpec) -> Iterator[tuple[str, str]]:
    """The jobs that run because the node moves images, and why; none where the node names what is gone by now."""
    with suppress(UserError):
        match node:
            case BuildNode():
                job = jobs.named(tx, project, node.job)
                told = jobs.of_source(tx, job.source.id) if job.source is not None else []
                for each in told:
                    yield from _of_job(each, ImageEvent.BUILD_SUCCEEDED)
            case PromoteNode():
                yield from _by_promotion(tx, project, node)
            case DeployNode(app=str(app)):
                yield from _of_app(tx, apps.named(tx, project, app), ImageEvent.DEPLOYED)
            case DeployNode(job=str(name)):
                yield from _of_job(jobs.named(tx, project, name), ImageEvent.DEPLOYED)


def _by_promotion(tx: Tx, project: str, node: PromoteNode) -> Iterator[tuple[str, str]]:
    pipeline = pipelines.named(tx, project, node.pipeline)
    way = route(pipeline, node.source, to=node.to, to_stage=node.to_stage, may_skip_stages=False)
    target = way.target
    if target.kind == "app":
        yield from _of_app(tx, apps.with_id(tx, target.id), ImageEvent.PROMOTED)
    else:
        yield from _of_job(jobs.with_id(tx, target.id), ImageEvent.PROMOTED)


def _of_app(tx: Tx, app: App, event: ImageEvent) -> Iterator[tuple[str, str]]:
    for member in app.members:
        if member.hook is None:
            yield from _of_job(jobs.with_id(tx, member.job_id), event)
        elif member.hook != "failed-deploy":
            yield member.job, f"it is a {member.hook} job of app {app.name}"


def _of_job(job: Job, event: ImageEvent) -> Iterator[tuple[str, str]]:
    if forecast(job, event, "").starts:
        yield job.name, f"its run_on_image_change is {job.run_on_image_change}"
