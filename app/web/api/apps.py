"""Apps: which jobs deploy together, and the hold of a rollback."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.commands import branch_tracking
from app.domain.errors import Conflict, InvalidValue, NotFound
from app.domain.jobs import Job
from app.domain.principals import Role
from app.store import apps, deployments, jobs, pipelines
from app.store.apps import App
from app.store.database import Tx
from app.web.api.forms.app import AppAnswer, AppForm, AppPatch, MemberAnswer
from app.web.api.forms.job import deployed_answer
from app.web.api.operations import ApiContext, Confirm, Empty, Operation, Page, Paging
from app.web.api.scope import app_of, confirmed, paged, project_of


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
        project = project_of(ctx, tx, Role.OPERATOR)
        app_id = apps.create(tx, project.id, ctx.body.name, ctx.now)
        _set_members(tx, app_id, project.name, ctx.body.jobs, ctx.body.hooks)
        return app_answer(tx, apps.with_id(tx, app_id))


def show_app(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return app_answer(tx, app_of(ctx, tx))


def change_app(ctx: ApiContext[AppPatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        app = app_of(ctx, tx, Role.OPERATOR)
        names = ctx.body.jobs or [member.job for member in app.members]
        kept = [member.job for member in app.members if member.hook == "post-deploy" and member.job in names]
        hooks = kept if ctx.body.hooks is None else ctx.body.hooks
        _set_members(tx, app.id, app.project, names, hooks)
        return app_answer(tx, apps.with_id(tx, app.id))


def delete_app(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        app = app_of(ctx, tx, Role.OPERATOR)
        confirmed(ctx, app.name)
        going = deployments.unfinished_of(tx, app.id)
        if going:
            raise Conflict(f"Deployment {going[0]} of app {app.name} is not over: cancel it or wait.")
        stage = pipelines.of_component(tx, "app", app.id)
        if stage is not None:
            raise Conflict(
                f"App {app.name} is in stage {stage[1]} of pipeline {stage[0]}: take it out first."
            )
        apps.delete(tx, app.id)


def release_hold(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        app = app_of(ctx, tx, Role.OPERATOR)
        if app.held_by is None:
            raise Conflict(f"App {app.name} is not held: pushes deploy it as its jobs say.")
        branch_tracking.release_hold(tx, ctx.server.names, app, who=ctx.who, now=ctx.now)
        return app_answer(tx, apps.with_id(tx, app.id))


def _set_members(tx: Tx, app_id: int, project: str, names: Sequence[str], hooks: Sequence[str]) -> None:
    for field, listed in (("jobs", names), ("hooks", hooks)):
        twice = next((name for name in listed if listed.count(name) > 1), None)
        if twice is not None:
            raise InvalidValue(field, f"{field} names {twice} twice.")
    stranger = next((name for name in hooks if name not in names), None)
    if stranger is not None:
        raise InvalidValue("hooks", f"hooks must be among the app's jobs, which {stranger} is not.")
    found = [_job(tx, project, name) for name in names]
    apps.set_members(tx, app_id, {job.id: "post-deploy" if job.name in hooks else None for job in found})


def _job(tx: Tx, project: str, name: str) -> Job:
    try:
        job = jobs.named(tx, project, name)
    except NotFound:
        raise InvalidValue(
            "jobs", f"jobs must name jobs of project {project}, which {name} is not."
        ) from None
    stage = pipelines.of_component(tx, "job", job.id)
    if stage is not None:
        message = (
            f"Job {name} is in stage {stage[1]} of pipeline {stage[0]} by itself: take it out there first."
        )
        raise Conflict(message)
    return job


def app_answer(tx: Tx, app: App) -> AppAnswer:
    latest = deployments.page(tx, app_id=app.id, limit=1)
    members = []
    for member in app.members:
        deployed = jobs.with_id(tx, member.job_id).deployed
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
        Role.OPERATOR,
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
        Role.OPERATOR,
        body=AppPatch,
        answer=AppAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{a}",
        "Delete an app with its deployments; its jobs stay",
        delete_app,
        Role.OPERATOR,
        query=Confirm,
        status=204,
    ),
    Operation(
        "POST",
        PATH + "/{a}/release-hold",
        "Let pushes deploy the app again after a rollback",
        release_hold,
        Role.OPERATOR,
        answer=AppAnswer,
    ),
)
