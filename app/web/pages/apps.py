"""`/apps`: jobs that deploy together, their deployments step by step, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from app.commands import apps as commands
from app.commands.deployment_requests import (
    deploy_latest,
    gone_of,
    images_to_deploy,
    images_to_roll_back_to,
    roll_back,
)
from app.commands.deployments import cancel_deployment
from app.domain.deployments import Deployment, DeploymentStatus, Phase
from app.domain.job.records import Job
from app.domain.principals import Right
from app.store import apps, deployments, jobs
from app.store.apps import App
from app.store.database import Tx
from app.web.pages.context import PageContext, get, post, see
from app.web.reach import newest
from app.web.scope import app_of, deployment_of

APPS = 20
DEPLOYMENTS = 6


@dataclass(frozen=True)
class Shown:
    """An app with its jobs, each with the hook that it is (None for none), and its latest deployments."""

    app: App
    members: Sequence[tuple[Job, str | None]]
    deployments: Sequence[Deployment]

    @property
    def paused(self) -> Sequence[str]:
        """Those that a deploy asks about, as it moves their images though they are paused."""
        return [job.name for job, _ in self.members if job.paused and job.source is not None]

    def paused_in(self, deployment: Deployment) -> Sequence[str]:
        """Those that a way back to the deployment asks about."""
        return [job.name for job, _ in self.members if job.paused and job.id in deployment.snapshot]

    def leads_back(self, deployment: Deployment) -> bool:
        """Whether going back to it would change the image of any job."""
        left = {job_id: image.digest for job_id, image in deployment.snapshot.items()}
        has = {job.id: job.deployed and job.deployed.digest for job, _ in self.members}
        return deployment.status is DeploymentStatus.SUCCEEDED and any(
            job_id in left and left[job_id] != digest for job_id, digest in has.items()
        )


def show_apps(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        before, limit = ctx.number("before"), APPS + 1
        found = newest(ctx, lambda only: apps.page(tx, project_id=only, limit=limit, before=before), limit)
        shown = [_shown(tx, each) for each in found[:APPS]]
    return ctx.page(
        "apps.html",
        apps=shown,
        can_cancel=can_cancel,
        more=found[APPS - 1].id if len(found) > APPS else None,
    )


def _shown(tx: Tx, app: App) -> Shown:
    found = jobs.with_ids(tx, [member.job_id for member in app.members])
    members = [(found[each.job_id], each.hook) for each in app.members if each.job_id in found]
    return Shown(app, members, deployments.page(tx, app_id=app.id, limit=DEPLOYMENTS))


def can_cancel(deployment: Deployment) -> bool:
    """Nothing moved yet, and nobody asked for it."""
    before_the_move = deployment.phase in (Phase.BUILDING, Phase.PRE_DEPLOY)
    return not deployment.status.is_final and before_the_move and deployment.cancel_requested_at is None


def deploy(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        images = images_to_deploy(tx, app_of(ctx, tx), sha=None, build_ids=None)
    gone = gone_of(ctx.server.missing_images, images)
    with ctx.server.db.write() as tx:
        app, agreed = app_of(ctx, tx), ctx.field("confirm_paused") == "1"
        made = deploy_latest(tx, app, ctx.who, ctx.now, confirm_paused=agreed, gone=gone)
    return _see(made.id)


def release_hold(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        app = app_of(ctx, tx)
        commands.release_hold(tx, ctx.server.names, app, who=ctx.who, now=ctx.now)
    return see(f"/apps#app-{app.id}")


def go_back(ctx: PageContext) -> Response:
    """The images are looked for (and pulled) before anything changes, and outside of any transaction.

    Those that can't be had any more are made again.
    """
    with ctx.server.db.read() as tx:
        images = images_to_roll_back_to(tx, deployment_of(ctx, tx))
    gone = ctx.server.missing_images({job_id: image.image for job_id, image in images.items()})
    with ctx.server.db.write() as tx:
        deployment = deployment_of(ctx, tx)
        agreed = ctx.field("confirm_paused") == "1"
        made = roll_back(tx, deployment, ctx.who, ctx.now, with_hooks=False, confirm_paused=agreed, gone=gone)
    return _see(made.id)


def cancel(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        deployment = deployment_of(ctx, tx)
        cancel_deployment(tx, deployment, ctx.who, ctx.now)
    return _see(deployment.id)


def _see(deployment_id: int) -> Response:
    return see(f"/apps#deployment-{deployment_id}")


def routes() -> list[Route]:
    path = "/projects/{project}/apps/{app}"
    return [
        get("/apps", show_apps),
        post(f"{path}/deploy", deploy, Right.DEPLOY),
        post(f"{path}/release-hold", release_hold, Right.DEPLOY),
        post("/deployments/{deployment}/rollback", go_back, Right.DEPLOY),
        post("/deployments/{deployment}/cancel", cancel, Right.DEPLOY),
    ]
