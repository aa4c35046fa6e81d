"""A project's things as the addresses of pages name them."""

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
from app.web.pages.context import PageContext


def project_of(tx: Tx, ctx: PageContext) -> Project:
    return reach.project_named(ctx, tx, ctx.path("project"))


def job_of(tx: Tx, ctx: PageContext) -> Job:
    return reach.job_named(ctx, tx, project_of(tx, ctx), ctx.path("job"))


def job_or_what_is_left(tx: Tx, ctx: PageContext) -> Job:
    """The job of that name, or the deleted one that had it last."""
    return reach.job_once_named(ctx, tx, project_of(tx, ctx), ctx.path("job"))


def app_of(tx: Tx, ctx: PageContext) -> App:
    return reach.app_named(ctx, tx, project_of(tx, ctx), ctx.path("app"))


def pipeline_of(tx: Tx, ctx: PageContext) -> Pipeline:
    return reach.pipeline_named(ctx, tx, project_of(tx, ctx), ctx.path("pipeline"))


def flow_of(tx: Tx, ctx: PageContext) -> Flow:
    return reach.flow_named(ctx, tx, project_of(tx, ctx), ctx.path("flow"))


def flow_run_of(tx: Tx, ctx: PageContext) -> FlowRun:
    return reach.flow_run_numbered(ctx, tx, ctx.path("run"))


def run_of(tx: Tx, ctx: PageContext) -> Run:
    return reach.run_called(ctx, tx, ctx.path("run"))


def build_of(tx: Tx, ctx: PageContext) -> Build:
    return reach.build_numbered(ctx, tx, ctx.path("build"))


def deployment_of(tx: Tx, ctx: PageContext) -> Deployment:
    return reach.deployment_numbered(ctx, tx, ctx.path("deployment"))


def delivery_of(tx: Tx, ctx: PageContext) -> Delivery:
    return reach.delivery_called(ctx, tx, ctx.path("guid"), ctx.path("forge"))
