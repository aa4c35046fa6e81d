"""`/projects/{p}/new/app` and an app's settings: its jobs in order, which of them are hooks, and their CD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands import apps as commands
from app.commands.jobs import change_job
from app.domain.documents import Json
from app.domain.errors import Contradictions, UserError
from app.domain.job.records import Job
from app.domain.principals import Right
from app.store import apps, jobs, pipelines
from app.store.apps import App
from app.store.database import Tx
from app.store.projects import Project
from app.web.pages import projects
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.form_errors import placed, refused, require_named
from app.web.pages.form_versions import require_unchanged, version_of
from app.web.pages.rearranging import rearranged
from app.web.patching import patched_job
from app.web.problems import Problem
from app.web.reading import read_value
from app.web.schemas.app import AppForm, AppPatch
from app.web.scope import app_of, project_of

LISTED = 1000  # jobs to choose among
POST_DEPLOY = "post-deploy"


@dataclass(frozen=True)
class Typed:
    """What somebody typed: the jobs in order, when each runs as a hook ("" for never), and which have CD on.

    A job without an entry in `hooks` has only just been added, and stays as it is.
    """

    name: str
    jobs: Sequence[str]
    hooks: Mapping[str, str]
    cd: frozenset[str]


@dataclass(frozen=True)
class Line:
    """A job of the app as its line of the form has it."""

    job: Job
    hook: str
    has_cd: bool


def address(app: App) -> str:
    return f"/projects/{app.project}/apps/{app.name}"


def show_new(ctx: PageContext) -> Response:
    return _page(ctx, None, Typed("", [], {}, frozenset()))


def make_app(ctx: PageContext) -> Response:
    typed = _typed(ctx)
    if ctx.field("do"):
        return _page(ctx, None, typed)
    try:
        body = {"name": typed.name.strip(), "jobs": typed.jobs}
        form = read_value(AppForm, body, ctx.server)
        with ctx.server.db.write() as tx:
            project = project_of(ctx, tx)
            app = commands.define_app(tx, project, form.name, form.jobs, [], ctx.now)
            _save(ctx, tx, app, typed)
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, None, typed, problem=refused(error))
    return see(address(app))


def show_settings(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        app = app_of(ctx, tx)
        stored = _stored(tx, app)
    return _page(ctx, app, stored)


def save_settings(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        app = app_of(ctx, tx)
    typed = _typed(ctx)
    if ctx.field("do"):
        return _page(ctx, app, typed)
    try:
        with ctx.server.db.write() as tx:
            app = app_of(ctx, tx)
            require_unchanged(ctx, _shown(tx, app), f"app {app.name}")
            _save(ctx, tx, app, typed)
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, app, typed, problem=refused(error))
    return see(f"{address(app)}/settings?saved=1")


def delete_app(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        app = app_of(ctx, tx)
        stored = _stored(tx, app)
    try:
        require_named(ctx, app.name, "app")
        with ctx.server.db.write() as tx:
            commands.remove_app(tx, app_of(ctx, tx))
    except UserError as error:
        return _page(ctx, app, stored, undeleted=refused(error))
    return see("/apps")


def _typed(ctx: PageContext) -> Typed:
    """With what a button asks for done: a job added, moved or taken out."""
    pressed, added = ctx.field("do"), ctx.field("add")
    listed = [*ctx.form.get("jobs", ()), *([added] if pressed == "add" and added else [])]
    hooks = {name.partition(".")[2]: ctx.field(name) for name in ctx.form if name.startswith("hook.")}
    cd = frozenset(name.partition(".")[2] for name in ctx.form if name.startswith("cd."))
    return Typed(ctx.field("name"), rearranged(listed, pressed), hooks, cd)


def _stored(tx: Tx, app: App) -> Typed:
    found = jobs.with_ids(tx, [member.job_id for member in app.members])
    return Typed(
        app.name,
        [member.job for member in app.members],
        {member.job: member.hook or "" for member in app.members},
        frozenset(job.name for job in found.values() if job.cd_enabled),
    )


def _shown(tx: Tx, app: App) -> Json:
    """What the form is about, in full."""
    stored = _stored(tx, app)
    return {"jobs": stored.jobs, "hooks": dict(stored.hooks), "cd": sorted(stored.cd)}


def _save(ctx: PageContext, tx: Tx, app: App, typed: Typed) -> None:
    """The app's jobs, and of each what it is in a deployment: a hook of which kind, and whether CD is on.

    A hook is kept with its job, which may be one of the app alone if it is post-deploy.
    """
    known = {name: job for name in typed.jobs if (job := jobs.find(tx, app.project, name)) is not None}
    of_app = [
        name
        for name, job in known.items()
        if typed.hooks.get(name) == POST_DEPLOY and job.spec.deploy_trigger is None
    ]
    form = read_value(AppPatch, {"jobs": list(typed.jobs), "hooks": of_app}, ctx.server)
    commands.change_app(tx, app, form.jobs, form.hooks)
    for name, job in known.items():
        if name not in typed.hooks:
            continue
        patch: Json = {}
        hook = typed.hooks[name] or None
        if name not in of_app and hook != job.spec.deploy_trigger:
            patch["deploy_trigger"] = hook
        if job.source is not None and (name in typed.cd) != job.cd_enabled:
            patch["cd_enabled"] = name in typed.cd
        if patch:
            _change(ctx, tx, job, patch)


def _change(ctx: PageContext, tx: Tx, job: Job, patch: Json) -> None:
    """Raises Contradictions with the fields as the app's form has them."""
    server = ctx.server
    try:
        draft = patched_job(job, patch, server)
        change_job(
            tx, job, draft, names=server.names, vault=server.vault, ours=server.ours, who=ctx.who, now=ctx.now
        )
    except (UserError, Problem, ValidationError) as error:
        problem = refused(error)
        raise Contradictions(
            [(f"hook.{job.name}", f"{job.name}: {each['message']}") for each in problem.errors]
            or [("", problem.detail)]
        ) from error


def _lines(tx: Tx, project: Project, typed: Typed) -> list[Line]:
    found = [jobs.find(tx, project.name, name) for name in typed.jobs]
    return [
        Line(job, typed.hooks[job.name], job.name in typed.cd)
        if job.name in typed.hooks
        else Line(job, job.spec.deploy_trigger or "", job.cd_enabled)
        for job in found
        if job is not None
    ]


def _page(
    ctx: PageContext,
    app: App | None,
    typed: Typed,
    *,
    problem: Problem | None = None,
    undeleted: Problem | None = None,
) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        lines = _lines(tx, project, typed)
        known = jobs.page(tx, project_id=project.id, limit=LISTED)
        of_apps = apps.names_of(tx, [job.id for job in known])
        staged = pipelines.taken(tx, project.id)
        seen = "" if app is None else version_of(_shown(tx, app))
    errors, left = placed(problem, frozenset({"name", "jobs", *(f"hook.{name}" for name in typed.jobs)}))
    said = problem or undeleted
    own = ("", app.name if app else "")
    free = [
        job
        for job in known
        if job.name not in typed.jobs and of_apps.get(job.id, "") in own and ("job", job.id) not in staged
    ]
    return ctx.page(
        "app_settings.html",
        200 if said is None else said.status,
        project=project,
        app=app,
        action=f"{address(app)}/settings" if app else f"{projects.address(project)}/new/app",
        given={"name": typed.name, "add": ""},
        lines=lines,
        free=sorted(free, key=lambda job: job.name),
        seen=seen,
        errors=errors,
        left=left,
        saved=bool(ctx.query("saved")),
        undeleted="" if undeleted is None else undeleted.detail,
    )


def routes() -> list[Route]:
    new, path = "/projects/{project}/new/app", "/projects/{project}/apps"
    return [
        get(new, show_new, Right.CHANGE),
        post(new, make_app, Right.CHANGE),
        get(f"{path}/{{app}}/settings", show_settings, Right.CHANGE),
        post(f"{path}/{{app}}/settings", save_settings, Right.CHANGE),
        post(f"{path}/{{app}}/settings/delete", delete_app, Right.CHANGE),
    ]
