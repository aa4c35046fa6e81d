"""A project's things as the path of a request names them: one of the API by a letter or `id`, one of a page in full."""

from __future__ import annotations

from app.domain.builds import Build
from app.domain.deployments import Deployment
from app.domain.flows import FlowRun
from app.domain.job.records import Job
from app.domain.pipelines import Pipeline
from app.domain.runs import Run
from app.store.apps import App
from app.store.database import Tx
from app.store.deliveries import Delivery
from app.store.flows import Flow
from app.store.projects import Project
from app.web import reach
from app.web.request_context import RequestContext

SHORT = {
    "project": "p",
    "job": "j",
    "app": "a",
    "pipeline": "pl",
    "flow": "f",
}  # in paths of the API; else `id`


def project_of(ctx: RequestContext, tx: Tx) -> Project:
    return reach.project_named(ctx, tx, _named(ctx, "project"))


def job_of(ctx: RequestContext, tx: Tx) -> Job:
    return reach.job_named(ctx, tx, project_of(ctx, tx), _named(ctx, "job"))


def job_or_what_is_left(ctx: RequestContext, tx: Tx) -> Job:
    """The job of that name, or the deleted one that had it last."""
    return reach.job_once_named(ctx, tx, project_of(ctx, tx), _named(ctx, "job"))


def app_of(ctx: RequestContext, tx: Tx) -> App:
    return reach.app_named(ctx, tx, project_of(ctx, tx), _named(ctx, "app"))


def pipeline_of(ctx: RequestContext, tx: Tx) -> Pipeline:
    return reach.pipeline_named(ctx, tx, project_of(ctx, tx), _named(ctx, "pipeline"))


def flow_of(ctx: RequestContext, tx: Tx) -> Flow:
    return reach.flow_named(ctx, tx, project_of(ctx, tx), _named(ctx, "flow"))


def flow_run_of(ctx: RequestContext, tx: Tx) -> FlowRun:
    return reach.flow_run_numbered(ctx, tx, _named(ctx, "run"))


def run_of(ctx: RequestContext, tx: Tx) -> Run:
    return reach.run_called(ctx, tx, _named(ctx, "run"))


def build_of(ctx: RequestContext, tx: Tx) -> Build:
    return reach.build_numbered(ctx, tx, _named(ctx, "build"))


def deployment_of(ctx: RequestContext, tx: Tx) -> Deployment:
    return reach.deployment_numbered(ctx, tx, _named(ctx, "deployment"))


def delivery_of(ctx: RequestContext, tx: Tx) -> Delivery:
    return reach.delivery_called(ctx, tx, ctx.path("guid"), ctx.path("forge"))


def _named(ctx: RequestContext, thing: str) -> str:
    in_full = ctx.request.path_params.get(thing)
    return ctx.path(SHORT.get(thing, "id")) if in_full is None else str(in_full)
