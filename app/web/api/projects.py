"""Projects."""

from __future__ import annotations

from typing import Any

from app.commands import projects as commands
from app.domain.principals import Right
from app.store import kept_logs, projects, quotas
from app.web.api.lists import confirmed, paged
from app.web.api.operations import ApiContext, Operation
from app.web.schemas.base import Confirm, Empty, Page, Paging
from app.web.schemas.project import (
    ProjectAnswer,
    ProjectForm,
    ProjectPatch,
    UsagesAnswer,
    project_answer,
    usages_answer,
)
from app.web.scope import project_of


def list_projects(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        return paged(
            ctx,
            lambda limit, before: projects.page(tx, limit, before, only=ctx.projects),
            lambda found: [project_answer(each) for each in found],
        )


def create_project(ctx: ApiContext[ProjectForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        body = ctx.body
        limits = body.limits.given
        return project_answer(
            commands.define_project(
                tx,
                ctx.server.vault,
                body.name,
                body.webhook_secret,
                ctx.now,
                limits,
                body.public,
                body.commit_statuses,
            )
        )


def show_project(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return project_answer(project_of(ctx, tx))


def change_project(ctx: ApiContext[ProjectPatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project, limits, hardening = project_of(ctx, tx), ctx.body.limits.given, ctx.body.hardening.given
        if limits or hardening:
            ctx.require(Right.PROJECTS)
        vault, secret = ctx.server.vault, ctx.body.webhook_secret
        changed = commands.change_project(
            tx, vault, project, secret, limits, hardening, ctx.body.public, ctx.body.commit_statuses
        )
        if "generic_webhook" in ctx.body.model_fields_set:
            given = ctx.body.generic_webhook
            changed = commands.set_generic_webhook(tx, changed, given.webhook if given else None)
        return project_answer(changed)


def show_usage(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        project_id = project_of(ctx, tx).id
        return usages_answer(quotas.usage_of(tx, project_id, kept_logs.total(tx, project_id)))


def delete_project(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        confirmed(ctx, project.name)
        projects.delete(tx, project.id)


PATH = "/projects"
OPERATIONS = (
    Operation("GET", PATH, "List projects", list_projects, query=Paging, answer=Page[ProjectAnswer]),
    Operation(
        "POST",
        PATH,
        "Create a project",
        create_project,
        Right.PROJECTS,
        body=ProjectForm,
        answer=ProjectAnswer,
        status=201,
    ),
    Operation("GET", PATH + "/{p}", "Show a project", show_project, answer=ProjectAnswer),
    Operation(
        "GET", PATH + "/{p}/usage", "What a project uses of its limits", show_usage, answer=UsagesAnswer
    ),
    Operation(
        "PATCH",
        PATH + "/{p}",
        "Change a project",
        change_project,
        Right.SECRETS,
        body=ProjectPatch,
        answer=ProjectAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{p}",
        "Delete a project without jobs, with its history",
        delete_project,
        Right.PROJECTS,
        query=Confirm,
        status=204,
    ),
)
