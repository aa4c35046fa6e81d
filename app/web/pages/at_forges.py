"""Forms of a project's page about its forges: webhooks that are made there, and how many statuses commits have."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.projects import change_project
from app.domain.errors import Busy, UserError
from app.domain.principals import Right
from app.web.pages import projects
from app.web.pages.context import PageContext, post, see
from app.web.pages.form_errors import refused
from app.web.problems import Problem
from app.web.reading import read_value
from app.web.schemas.project import ProjectPatch
from app.web.scope import project_of


def ask_forges(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
    hooks = ctx.server.repository_hooks
    try:
        (hooks.register if ctx.field("register") else hooks.look)(project, ctx.server.public_url)
    except (UserError, Busy) as error:
        return projects.show_refused(ctx, refused(error))
    return see(f"{projects.address(project)}?saved=hooks#webhook")


def set_statuses(ctx: PageContext) -> Response:
    try:
        patch = read_value(ProjectPatch, {"commit_statuses": ctx.field("commit_statuses")}, ctx.server)
        with ctx.server.db.write() as tx:
            vault, project = ctx.server.vault, project_of(ctx, tx)
            change_project(tx, vault, project, statuses=patch.commit_statuses)
    except (UserError, Problem, ValidationError) as error:
        return projects.show_refused(ctx, refused(error))
    return see(f"{projects.address(project)}?saved=statuses#commit-statuses")


def routes() -> list[Route]:
    return [
        post("/projects/{project}/hooks", ask_forges, Right.SECRETS),
        post("/projects/{project}/commit-statuses", set_statuses, Right.SECRETS),
    ]
