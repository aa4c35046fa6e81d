"""`…/build` of a job or a build service: a manual build, of the branch's head, another branch's or a commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.builds import request_build_of_source
from app.domain.errors import Conflict, UserError
from app.domain.job.records import Job, Source
from app.domain.principals import Right
from app.store import jobs
from app.store.database import Tx
from app.web.pages import build_services
from app.web.pages import jobs as job_pages
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.form_errors import placed, refused
from app.web.problems import Problem
from app.web.reading import read_value
from app.web.schemas.build import ManualBuildForm
from app.web.scope import job_of, project_of

FIELDS = ("ref", "sha")


@dataclass(frozen=True)
class Target:
    """What is built, for which jobs, and its page; `may_open` says whether whoever builds it may see that."""

    name: str
    project: str
    source: Source
    jobs: Sequence[Job]
    address: str
    may_open: bool


def _of_job(tx: Tx, ctx: PageContext) -> Target:
    job = job_of(ctx, tx)
    if job.source is None:
        raise Conflict(f"Job {job.name} has no Git source, so there is nothing to build.")
    return Target(job.name, job.project, job.source, [job], job_pages.address(job), True)


def _of_service(tx: Tx, ctx: PageContext) -> Target:
    project, service = project_of(ctx, tx), build_services.service_of(ctx, tx)
    address = build_services.address(project, service)
    of_service = jobs.of_source(tx, service.id)
    may_open = ctx.may(Right.CHANGE, project.id)
    return Target(service.name, project.name, service.source, of_service, address, may_open)


def _target_of(ctx: PageContext, tx: Tx) -> Target:
    return _of_service(tx, ctx) if "service" in ctx.request.path_params else _of_job(tx, ctx)


def show_form(ctx: PageContext) -> Response:
    return _page(ctx)


def build(ctx: PageContext) -> Response:
    """Without a field, of the head of the tracked branch."""
    given = {name: ctx.field(name).strip() or None for name in FIELDS}
    try:
        form = read_value(ManualBuildForm, given, ctx.server)
        with ctx.server.db.write() as tx:
            target = _target_of(ctx, tx)
            build_id = request_build_of_source(
                tx, target.source, target.jobs, sha=form.sha, branch=form.ref, who=ctx.who, now=ctx.now
            )
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, refused(error))
    return see(f"/builds/{build_id}")


def _page(ctx: PageContext, problem: Problem | None = None) -> Response:
    with ctx.server.db.read() as tx:
        target = _target_of(ctx, tx)
    errors, left = placed(problem, frozenset(FIELDS))
    return ctx.page(
        "manual_build.html",
        200 if problem is None else problem.status,
        target=target,
        given={name: ctx.field(name) for name in FIELDS},
        errors=errors,
        left=left,
    )


def routes() -> list[Route]:
    paths = ("/projects/{project}/jobs/{job}/build", "/projects/{project}/build-services/{service}/build")
    return [
        route for path in paths for route in (get(path, show_form, Right.RUN), post(path, build, Right.RUN))
    ]
