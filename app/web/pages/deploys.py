"""`/projects/{p}/jobs/{j}/deploy`: point a job at a build or an image by hand, after seeing what that would do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.dry_run import Outlook, of_deploy
from app.commands.image_rollout import deploy_job
from app.domain.builds import Build, BuildStatus
from app.domain.errors import TransientError, UserError
from app.domain.jobs import Job
from app.store import builds
from app.store.database import Tx
from app.web.api.deploys import JobDeployForm, chosen, pin
from app.web.api.reading import read_value
from app.web.pages.form_fields import NUMBER
from app.web.pages.jobs import address, job_of
from app.web.pages.refusals import placed, refused
from app.web.pages.visit import Visit, get, post, see
from app.web.principal import Role
from app.web.problems import Problem

FIELDS = ("build", "image")
BUILDS = 50
IMAGE = "image"  # the choice that is no build


def show_form(visit: Visit) -> Response:
    return _page(visit, build=visit.query("build"))


def deploy(visit: Visit) -> Response:
    """Rehearse it, or do it."""
    try:
        form = read_value(JobDeployForm, _typed(visit), visit.yard)
        latest = form.build == "latest"
        with visit.yard.db.read() as tx:
            job = job_of(tx, visit)
        pinned, agreed = pin(visit.yard, job, form), form.confirm_paused
        if visit.field("preview"):
            with visit.yard.db.read() as tx:
                image = chosen(tx, visit.yard.ours, job, form, pinned, visit.now)
                outlook = of_deploy(tx, job, image, latest=latest, confirm_paused=agreed, who=visit.who)
            return _page(visit, outlook=outlook)
        with visit.yard.db.write() as tx:
            job = job_of(tx, visit)
            image, now = chosen(tx, visit.yard.ours, job, form, pinned, visit.now), visit.now
            deploy_job(
                tx,
                visit.yard.names,
                job,
                image,
                latest=latest,
                confirm_paused=agreed,
                who=visit.who,
                now=now,
            )
    except (UserError, TransientError, Problem, ValidationError) as error:
        return _page(visit, problem=refused(error))
    return see(address(job))


def _typed(visit: Visit) -> dict[str, Any]:
    build, image = visit.field("build"), visit.field("image").strip()
    agreed = {"confirm_paused": visit.field("confirm_paused") == "1"}
    if build == IMAGE:
        return {"image": image, **agreed}
    return {"build": NUMBER.read(build), "image": image or None, **agreed}


def _page(
    visit: Visit, *, build: str = "", problem: Problem | None = None, outlook: Outlook | None = None
) -> Response:
    with visit.yard.db.read() as tx:
        job = job_of(tx, visit)
        made = _deployable(tx, job)
    errors, left = placed(problem, frozenset(FIELDS))
    return visit.page(
        "deploy.html",
        200 if problem is None else problem.status,
        job=job,
        address=address(job),
        builds=made,
        given={"build": build or visit.field("build") or "latest", "image": visit.field("image")},
        errors=errors,
        left=left,
        outlook=outlook,
    )


def _deployable(tx: Tx, job: Job) -> Sequence[Build]:
    if job.source is None:
        return []
    return builds.page(tx, limit=BUILDS, source_id=job.source.id, statuses=[BuildStatus.SUCCEEDED])


def routes() -> list[Route]:
    path = "/projects/{project}/jobs/{job}/deploy"
    return [get(path, show_form, Role.OPERATOR), post(path, deploy)]
