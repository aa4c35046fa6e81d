"""`/projects/{p}/apps/{a}/deploy` and `/deployments/{d}/rollback`: what would move is shown before it does."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.app_forecasts import of_app_deploy, of_rollback
from app.commands.deployment_choices import built_jobs
from app.commands.deployment_requests import (
    deploy_app,
    gone_of,
    images_to_deploy,
    images_to_roll_back_to,
    roll_back,
)
from app.commands.dry_run import Effect
from app.domain.builds import Build, BuildStatus
from app.domain.deployments import Deployment
from app.domain.documents import Json
from app.domain.errors import Conflict, TransientError, UserError
from app.domain.principals import Right
from app.store import apps, builds, jobs
from app.store.apps import App
from app.store.database import Tx
from app.web.pages.app_settings import address
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.form_errors import placed, refused
from app.web.problems import Problem
from app.web.reading import read_value
from app.web.schemas.app import DeployForm, RollbackForm
from app.web.scope import app_of, deployment_of
from app.web.texts import NUMBER

BUILDS = 20  # of each job
FIELDS = frozenset({"what", "sha", "builds"})


def show_deploy(ctx: PageContext) -> Response:
    return _deploy_page(ctx, None)


def deploy(ctx: PageContext) -> Response:
    """Show what it would do, or do it: the latest builds unless the form says which."""
    if ctx.field("preview"):
        return _deploy_page(ctx, None)
    try:
        form = read_value(DeployForm, _asked(ctx), ctx.server)
        with ctx.server.db.read() as tx:
            images = images_to_deploy(tx, app_of(ctx, tx), sha=form.sha, build_ids=form.builds)
        gone = gone_of(ctx.server.missing_images, images)
        with ctx.server.db.write() as tx:
            made = deploy_app(
                tx,
                ctx.server.vault,
                app_of(ctx, tx),
                ctx.who,
                ctx.now,
                sha=form.sha,
                build_ids=form.builds,
                confirm_paused=form.confirm_paused,
                gone=gone,
            )
    except (UserError, TransientError, Problem, ValidationError) as error:
        return _deploy_page(ctx, refused(error))
    return see(f"/apps#deployment-{made.id}")


def _asked(ctx: PageContext) -> Json:
    agreed = {"confirm_paused": ctx.field("confirm_paused") == "1"}
    match ctx.field("what"):
        case "sha":
            return {"sha": ctx.field("sha").strip(), **agreed}
        case "builds":
            return {"builds": [NUMBER.read(each) for each in ctx.form.get("builds", ()) if each], **agreed}
        case _:
            return agreed


def _deploy_page(ctx: PageContext, problem: Problem | None) -> Response:
    effects: Sequence[Effect] = ()
    with ctx.server.db.read() as tx:
        app = app_of(ctx, tx)
        if problem is None:
            try:
                form = read_value(DeployForm, _asked(ctx), ctx.server)
                effects = of_app_deploy(
                    tx,
                    app,
                    sha=form.sha,
                    build_ids=form.builds,
                    confirm_paused=form.confirm_paused,
                    who=ctx.who,
                )
            except (UserError, ValidationError) as error:
                problem = refused(error)
        choices = _choices(tx, app)
        paused = paused_of(tx, app)
    errors, left = placed(problem, FIELDS)
    return ctx.page(
        "app_deploy.html",
        200 if problem is None or ctx.request.method == "GET" else problem.status,
        app=app,
        address=address(app),
        choices=choices,
        chosen=frozenset(ctx.form.get("builds", ())),
        paused=paused,
        given={"what": ctx.field("what") or "latest", "sha": ctx.field("sha")},
        agreed=ctx.field("confirm_paused") == "1",
        errors=errors,
        left=left,
        effects=effects,
    )


def paused_of(tx: Tx, app: App) -> Sequence[str]:
    """The jobs that a deploy asks about, as it moves their images though they are paused."""
    members = jobs.with_ids(tx, [member.job_id for member in app.members]).values()
    return [job.name for job in members if job.paused and job.source is not None]


def _choices(tx: Tx, app: App) -> Sequence[tuple[str, Sequence[Build]]]:
    """The newest builds to choose among, by the names of the jobs that they are for."""
    try:
        built = built_jobs(tx, app)
    except Conflict:
        return []
    names: dict[int, list[str]] = {}
    for job in built:
        assert job.source is not None
        names.setdefault(job.source.id, []).append(job.name)
    good = (*builds.OPEN, BuildStatus.SUCCEEDED)
    return [
        (", ".join(of), builds.page(tx, limit=BUILDS, source_id=source_id, statuses=good))
        for source_id, of in names.items()
    ]


def show_rollback(ctx: PageContext) -> Response:
    return _rollback_page(ctx, None)


def go_back(ctx: PageContext) -> Response:
    """Show what it would do, or do it.

    The images are looked for (and pulled) before anything changes, and outside of any transaction. Those that can't
    be had any more are made again.
    """
    if ctx.field("preview"):
        return _rollback_page(ctx, None)
    form = _rollback(ctx)
    try:
        with ctx.server.db.read() as tx:
            images = images_to_roll_back_to(tx, deployment_of(ctx, tx))
        gone = ctx.server.missing_images({job_id: image.image for job_id, image in images.items()})
        with ctx.server.db.write() as tx:
            made = roll_back(
                tx,
                deployment_of(ctx, tx),
                ctx.who,
                ctx.now,
                with_hooks=form.with_hooks,
                confirm_paused=form.confirm_paused,
                gone=gone,
            )
    except (UserError, TransientError, Problem) as error:
        return _rollback_page(ctx, refused(error))
    return see(f"/apps#deployment-{made.id}")


def _rollback(ctx: PageContext) -> RollbackForm:
    return RollbackForm(
        with_hooks=ctx.field("with_hooks") == "1", confirm_paused=ctx.field("confirm_paused") == "1"
    )


def _rollback_page(ctx: PageContext, problem: Problem | None) -> Response:
    form, effects = _rollback(ctx), list[Effect]()
    with ctx.server.db.read() as tx:
        deployment = deployment_of(ctx, tx)
        app = apps.with_id(tx, deployment.app_id)
        try:
            effects = of_rollback(
                tx, deployment, with_hooks=form.with_hooks, confirm_paused=form.confirm_paused, who=ctx.who
            )
        except UserError as error:
            problem = problem or refused(error)
        paused = _paused_in(tx, app, deployment)
    return ctx.page(
        "rollback.html",
        200 if problem is None or ctx.request.method == "GET" else problem.status,
        app=app,
        address=address(app),
        deployment=deployment,
        paused=paused,
        given={"with_hooks": "1" if form.with_hooks else ""},
        agreed=form.confirm_paused,
        errors={},
        left=[] if problem is None else [problem.detail],
        effects=effects,
    )


def _paused_in(tx: Tx, app: App, deployment: Deployment) -> Sequence[str]:
    members = jobs.with_ids(tx, [member.job_id for member in app.members]).values()
    return [job.name for job in members if job.paused and job.id in deployment.snapshot]


def routes() -> list[Route]:
    of_app, back = "/projects/{project}/apps/{app}/deploy", "/deployments/{deployment}/rollback"
    return [
        get(of_app, show_deploy, Right.DEPLOY),
        post(of_app, deploy, Right.DEPLOY),
        get(back, show_rollback, Right.DEPLOY),
        post(back, go_back, Right.DEPLOY),
    ]
