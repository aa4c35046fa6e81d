"""`/projects/{p}/jobs/{j}/deploy`: point a job at a build or an image by hand, after seeing what that would do."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.dry_run import Effect, of_deploy
from app.commands.image_rollout import deploy_job
from app.commands.job_deploys import image_chosen, pin_choice
from app.domain.builds import Build, BuildStatus
from app.domain.errors import TransientError, UserError
from app.domain.job.records import Job
from app.domain.principals import Right
from app.store import builds
from app.store.database import Tx
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.form_errors import placed, refused
from app.web.pages.jobs import address
from app.web.problems import Problem
from app.web.reading import read_value
from app.web.schemas.job_deploy import JobDeployForm
from app.web.scope import job_of
from app.web.texts import NUMBER

FIELDS = ("build", "image")
BUILDS = 50
IMAGE = "image"  # the choice that is no build


def show_form(ctx: PageContext) -> Response:
    return _page(ctx, build=ctx.query("build"))


def deploy(ctx: PageContext) -> Response:
    """Rehearse it, or do it."""
    try:
        form = read_value(JobDeployForm, _typed(ctx), ctx.server)
        choice = form.choice()
        with ctx.server.db.read() as tx:
            job = job_of(ctx, tx)
        pinned, agreed = pin_choice(choice, job, ctx.server.pin_image), form.confirm_paused
        if ctx.field("preview"):
            with ctx.server.db.read() as tx:
                image = image_chosen(tx, ctx.server.ours, job, choice, pinned, ctx.now)
                effect = of_deploy(
                    tx, job, image, latest=choice.is_latest, confirm_paused=agreed, who=ctx.who
                )
            return _page(ctx, effect=effect)
        with ctx.server.db.write() as tx:
            job = job_of(ctx, tx)
            image, now = image_chosen(tx, ctx.server.ours, job, choice, pinned, ctx.now), ctx.now
            deploy_job(
                tx,
                ctx.server.names,
                job,
                image,
                latest=choice.is_latest,
                confirm_paused=agreed,
                who=ctx.who,
                now=now,
            )
    except (UserError, TransientError, Problem, ValidationError) as error:
        return _page(ctx, problem=refused(error))
    return see(address(job))


def _typed(ctx: PageContext) -> dict[str, object]:
    build, image = ctx.field("build"), ctx.field("image").strip()
    agreed = {"confirm_paused": ctx.field("confirm_paused") == "1"}
    if build == IMAGE:
        return {"image": image, **agreed}
    return {"build": NUMBER.read(build), "image": image or None, **agreed}


def _page(
    ctx: PageContext, *, build: str = "", problem: Problem | None = None, effect: Effect | None = None
) -> Response:
    with ctx.server.db.read() as tx:
        job = job_of(ctx, tx)
        made = _deployable(tx, job)
    errors, left = placed(problem, frozenset(FIELDS))
    return ctx.page(
        "deploy.html",
        200 if problem is None else problem.status,
        job=job,
        address=address(job),
        builds=made,
        given={"build": build or ctx.field("build") or "latest", "image": ctx.field("image")},
        errors=errors,
        left=left,
        effect=effect,
    )


def _deployable(tx: Tx, job: Job) -> Sequence[Build]:
    if job.source is None:
        return []
    return builds.page(tx, limit=BUILDS, source_id=job.source.id, statuses=[BuildStatus.SUCCEEDED])


def routes() -> list[Route]:
    path = "/projects/{project}/jobs/{job}/deploy"
    return [get(path, show_form, Right.DEPLOY), post(path, deploy, Right.DEPLOY)]
