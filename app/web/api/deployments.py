"""Deployments of apps: ask for one, watch it, call it off, go back to an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.commands import deployments as commands
from app.commands.deployment_requests import (
    deploy_app,
    gone_of,
    images_to_deploy,
    images_to_roll_back_to,
    roll_back,
)
from app.domain.deployments import Deployment
from app.domain.principals import Right
from app.store import deployments, jobs
from app.store.database import Tx
from app.web.api.idempotency import once
from app.web.api.lists import paged
from app.web.api.operations import ApiContext, Operation
from app.web.schemas.app import DeployForm, DeploymentAnswer, RollbackForm, deployment_answer
from app.web.schemas.base import Empty, Page, Paging
from app.web.scope import app_of, deployment_of


def list_deployments(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        app = app_of(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: deployments.page(tx, app_id=app.id, limit=limit, before=before),
            lambda found: deployment_answers(tx, found),
        )


def create_deployment(ctx: ApiContext[DeployForm, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        app = app_of(ctx, tx)
        images = images_to_deploy(tx, app, sha=ctx.body.sha, build_ids=ctx.body.builds)
    gone = gone_of(ctx.server.missing_images, images)
    with ctx.server.db.write() as tx:
        app = app_of(ctx, tx)

        def make() -> DeploymentAnswer:
            form = ctx.body
            made = deploy_app(
                tx,
                ctx.server.vault,
                app,
                ctx.who,
                ctx.now,
                sha=form.sha,
                build_ids=form.builds,
                confirm_paused=form.confirm_paused,
                gone=gone,
            )
            return deployment_answers(tx, [made])[0]

        return once(ctx, tx, make)


def show_deployment(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return deployment_answers(tx, [deployment_of(ctx, tx)])[0]


def cancel_deployment(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        deployment = deployment_of(ctx, tx)
        cancelled = commands.cancel_deployment(tx, deployment, ctx.who, ctx.now)
        return deployment_answers(tx, [cancelled])[0]


def roll_back_deployment(ctx: ApiContext[RollbackForm, Empty]) -> Any:
    """The images are looked for (and pulled) before anything changes, and outside of any transaction.

    Those that can't be had any more are made again.
    """
    with ctx.server.db.read() as tx:
        images = images_to_roll_back_to(tx, deployment_of(ctx, tx))
    gone = ctx.server.missing_images({job_id: image.image for job_id, image in images.items()})
    with ctx.server.db.write() as tx:
        deployment = deployment_of(ctx, tx)

        def make() -> DeploymentAnswer:
            form, now = ctx.body, ctx.now
            made = roll_back(
                tx,
                deployment,
                ctx.who,
                now,
                with_hooks=form.with_hooks,
                confirm_paused=form.confirm_paused,
                gone=gone,
            )
            return deployment_answers(tx, [made])[0]

        return once(ctx, tx, make)


def deployment_answers(tx: Tx, found: Sequence[Deployment]) -> list[DeploymentAnswer]:
    names = jobs.names_of(tx, {job_id for each in found for job_id in (*each.images, *each.snapshot)})
    return [deployment_answer(each, names) for each in found]


PATH = "/projects/{p}/apps/{a}/deployments"
OPERATIONS = (
    Operation(
        "GET",
        PATH,
        "List an app's deployments",
        list_deployments,
        query=Paging,
        answer=Page[DeploymentAnswer],
    ),
    Operation(
        "POST",
        PATH,
        "Deploy a commit, builds or the latest builds to all of an app's jobs",
        create_deployment,
        Right.DEPLOY,
        body=DeployForm,
        answer=DeploymentAnswer,
        status=202,
        idempotent=True,
    ),
    Operation("GET", "/deployments/{id}", "Show a deployment", show_deployment, answer=DeploymentAnswer),
    Operation(
        "POST",
        "/deployments/{id}/cancel",
        "Cancel a deployment before its images move",
        cancel_deployment,
        Right.DEPLOY,
        answer=DeploymentAnswer,
        status=202,
    ),
    Operation(
        "POST",
        "/deployments/{id}/rollback",
        "Go back to what this deployment left live, and hold CD until it is released",
        roll_back_deployment,
        Right.DEPLOY,
        body=RollbackForm,
        answer=DeploymentAnswer,
        status=202,
        idempotent=True,
    ),
)
