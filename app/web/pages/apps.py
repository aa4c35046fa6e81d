"""`/apps`: jobs that deploy together, their deployments step by step, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from starlette.responses import Response
from starlette.routing import Route

from app.commands import apps as commands
from app.commands.deployments import cancel_deployment
from app.domain.deployments import Deployment, DeploymentStatus, Phase
from app.domain.job.records import Job
from app.domain.principals import Right
from app.store import apps, deployments, jobs
from app.store.apps import App
from app.store.database import Tx
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.makers import projects_to_change
from app.web.reach import newest
from app.web.scope import app_of, deployment_of

APPS = 20
DEPLOYMENTS = 6  # of each app in the list
HISTORY = 20


@dataclass(frozen=True)
class Shown:
    """An app with its jobs, each with the hook that it is (None for none), and its latest deployments."""

    app: App
    members: Sequence[tuple[Job, str | None]]
    deployments: Sequence[Deployment]

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
        makers = projects_to_change(ctx, tx)
    return ctx.page(
        "apps.html",
        apps=shown,
        makers=makers,
        can_cancel=can_cancel,
        more=found[APPS - 1].id if len(found) > APPS else None,
    )


def show_app(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        found = _shown(tx, app_of(ctx, tx), HISTORY + 1, ctx.number("before"))
    latest = found.deployments[:HISTORY]
    return ctx.page(
        "app.html",
        each=replace(found, deployments=latest),
        can_cancel=can_cancel,
        more=latest[-1].id if len(found.deployments) > HISTORY else None,
    )


def _shown(tx: Tx, app: App, limit: int = DEPLOYMENTS, before: int | None = None) -> Shown:
    found = jobs.with_ids(tx, [member.job_id for member in app.members])
    members = [(found[each.job_id], each.hook) for each in app.members if each.job_id in found]
    return Shown(app, members, deployments.page(tx, app_id=app.id, limit=limit, before=before))


def can_cancel(deployment: Deployment) -> bool:
    """Nothing moved yet, and nobody asked for it."""
    before_the_move = deployment.phase in (Phase.BUILDING, Phase.PRE_DEPLOY)
    return not deployment.status.is_final and before_the_move and deployment.cancel_requested_at is None


def release_hold(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        app = app_of(ctx, tx)
        commands.release_hold(tx, ctx.server.names, app, who=ctx.who, now=ctx.now)
    return see(f"/apps#app-{app.id}")


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
        get(path, show_app),
        post(f"{path}/release-hold", release_hold, Right.DEPLOY),
        post("/deployments/{deployment}/cancel", cancel, Right.DEPLOY),
    ]
