"""Apps: which jobs deploy together, and the hold of a rollback."""

from __future__ import annotations

from typing import Any

from app.commands import apps as commands
from app.domain.principals import Right
from app.store import apps, deployments, jobs
from app.store.apps import App
from app.store.database import Tx
from app.web.api.lists import confirmed, paged
from app.web.api.operations import ApiContext, Operation
from app.web.schemas.app import AppAnswer, AppForm, AppPatch, MemberAnswer
from app.web.schemas.base import Confirm, Empty, Page, Paging
from app.web.schemas.job import deployed_answer
from app.web.scope import app_of, project_of


def list_apps(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: apps.page(tx, project_id=project.id, limit=limit, before=before),
            lambda found: [app_answer(tx, each) for each in found],
        )


def create_app(ctx: ApiContext[AppForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        form = ctx.body
        return app_answer(tx, commands.define_app(tx, project, form.name, form.jobs, form.hooks, ctx.now))


def show_app(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return app_answer(tx, app_of(ctx, tx))


def change_app(ctx: ApiContext[AppPatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        app = app_of(ctx, tx)
        return app_answer(tx, commands.change_app(tx, app, ctx.body.jobs, ctx.body.hooks))


def delete_app(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        app = app_of(ctx, tx)
        confirmed(ctx, app.name)
        commands.remove_app(tx, app)


def release_hold(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        app = app_of(ctx, tx)
        released = commands.release_hold(tx, ctx.server.names, app, who=ctx.who, now=ctx.now)
        return app_answer(tx, released)


def app_answer(tx: Tx, app: App) -> AppAnswer:
    latest = deployments.page(tx, app_id=app.id, limit=1)
    found, members = jobs.with_ids(tx, [member.job_id for member in app.members]), []
    for member in app.members:
        job = found.get(member.job_id)
        deployed = job and job.deployed
        members.append(
            MemberAnswer.model_validate(
                {
                    "job": member.job,
                    "deploy_trigger": member.hook,
                    "deployed": deployed and deployed_answer(deployed),
                }
            )
        )
    return AppAnswer(
        id=app.id,
        project=app.project,
        name=app.name,
        jobs=[member.job for member in app.members],
        members=members,
        held_by=app.held_by,
        deployment=latest[0].id if latest else None,
        created_at=app.created_at,
    )


PATH = "/projects/{p}/apps"
OPERATIONS = (
    Operation("GET", PATH, "List a project's apps", list_apps, query=Paging, answer=Page[AppAnswer]),
    Operation(
        "POST",
        PATH,
        "Make an app of jobs that deploy together",
        create_app,
        Right.CHANGE,
        body=AppForm,
        answer=AppAnswer,
        status=201,
    ),
    Operation("GET", PATH + "/{a}", "Show an app", show_app, answer=AppAnswer),
    Operation(
        "PATCH",
        PATH + "/{a}",
        "Change which jobs an app has, and their order",
        change_app,
        Right.CHANGE,
        body=AppPatch,
        answer=AppAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{a}",
        "Delete an app with its deployments; its jobs stay",
        delete_app,
        Right.CHANGE,
        query=Confirm,
        status=204,
    ),
    Operation(
        "POST",
        PATH + "/{a}/release-hold",
        "Let pushes deploy the app again after a rollback",
        release_hold,
        Right.DEPLOY,
        answer=AppAnswer,
    ),
)
