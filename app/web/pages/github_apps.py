"""`/projects/{p}/github-apps`: Apps made at GitHub by a manifest or kept by hand, looked at, changed, forgotten."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.credentials import remove_credential
from app.commands.github_apps import (
    AppDraft,
    Begun,
    Seen,
    advice_on,
    begin_manifest,
    begun_with,
    change_app,
    converted,
    define_app,
    seen_app,
)
from app.domain.errors import Conflict, InvalidValue, JobyardError, UserError
from app.domain.github_apps import manifest
from app.domain.principals import Right
from app.store.database import Tx
from app.store.github_apps import GithubApp
from app.store.projects import Project
from app.web.headers import posting_to
from app.web.pages import projects
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.form_errors import placed, refused, require_named
from app.web.problems import Problem
from app.web.reach import github_app_named
from app.web.reading import read_value
from app.web.schemas.github_app import GithubAppForm, GithubAppPatch
from app.web.schemas.manifest import ManifestForm
from app.web.scope import project_of

BY_HAND = ("name", "host", "app_id", "api_url")
OF_MANIFEST = ("name", "host", "api_url", "organization")
FIELDS = frozenset({*BY_HAND, "private_key", "webhook_secret"})


def address(project: Project, app: GithubApp) -> str:
    return f"{projects.address(project)}/github-apps/{app.name}"


def _app_of(ctx: PageContext, tx: Tx) -> GithubApp:
    return github_app_named(ctx, tx, project_of(ctx, tx), ctx.path("github_app"))


def show_new(ctx: PageContext) -> Response:
    return _new(ctx, {"host": "github.com"})


def prepare_manifest(ctx: PageContext) -> Response:
    """Show the manifest that GitHub is asked to make an App of; the next button goes there."""
    given = {name: ctx.field(name).strip() for name in OF_MANIFEST}
    try:
        form = read_value(ManifestForm, {**given, "host": given["host"] or "github.com"}, ctx.server)
    except (Problem, ValidationError) as error:
        return _new(ctx, given, problem=refused(error))
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
    wanted = manifest(
        f"jobyard-{project.name}-{form.name}",
        ctx.address,
        f"{ctx.address}{projects.address(project)}/github-app-made",
    )
    begun = Begun(form.name, form.host, form.api_url)
    state = begin_manifest(ctx.server.vault, project, begun, ctx.now)
    owner = f"/organizations/{quote(form.organization, safe='')}" if form.organization else ""
    there = f"https://{form.host}{owner}/settings/apps/new?state={quote(state, safe='')}"
    answer = ctx.page(
        "github_app_manifest.html",
        project=project,
        there=there,
        host=form.host,
        manifest=wanted,
        manifest_text=json.dumps(wanted),
        is_reachable=ctx.server.is_public_url_set,
    )
    answer.headers.update(posting_to(f"https://{form.host}"))
    return answer


def show_made(ctx: PageContext) -> Response:
    """Where GitHub sends who accepted a manifest: the App is kept once they say so here, too."""
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
    try:
        begun = begun_with(ctx.server.vault, project, ctx.query("state"), ctx.now)
    except Conflict as error:
        return _new(ctx, {"host": "github.com"}, problem=refused(error))
    return ctx.page(
        "github_app_made.html",
        project=project,
        begun=begun,
        code=ctx.query("code"),
        state=ctx.query("state"),
    )


def keep_made(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
    try:
        begun = begun_with(ctx.server.vault, project, ctx.field("state"), ctx.now)
        found = converted(ctx.server.app_tokens, begun, ctx.field("code"))
        draft = AppDraft(
            begun.name,
            begun.host,
            found.app_id,
            found.private_key,
            found.webhook_secret or None,
            begun.api_url,
            found.slug,
        )
        with ctx.server.db.write() as tx:
            app = define_app(tx, ctx.server.vault, project_of(ctx, tx), draft, ctx.now)
    except JobyardError as error:
        return _new(ctx, {"host": "github.com"}, problem=refused(error))
    return see(address(project, app))


def keep_by_hand(ctx: PageContext) -> Response:
    given = {name: ctx.field(name).strip() for name in BY_HAND}
    body = {**given, "private_key": ctx.field("private_key")}
    if ctx.field("webhook_secret"):
        body["webhook_secret"] = ctx.field("webhook_secret")
    if not body["app_id"].isascii() or not body["app_id"].isdecimal():
        problem = refused(InvalidValue("app_id", "app_id must be the App's number at GitHub, such as 4711."))
        return _new(ctx, given, problem=problem)
    try:
        form = read_value(GithubAppForm, {**body, "app_id": int(body["app_id"][:20])}, ctx.server)
        with ctx.server.db.write() as tx:
            project = project_of(ctx, tx)
            app = define_app(tx, ctx.server.vault, project, form.draft(), ctx.now)
    except (UserError, Problem, ValidationError) as error:
        return _new(ctx, given, problem=refused(error))
    return see(address(project, app))


def show_app(ctx: PageContext) -> Response:
    return _page(ctx)


def look(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        app = _app_of(ctx, tx)
    return _page(ctx, seen=seen_app(ctx.server.db, ctx.server.vault, ctx.server.app_tokens, app))


def save_app(ctx: PageContext) -> Response:
    given = {name: ctx.field(name) or None for name in ("private_key", "webhook_secret")}
    try:
        patch = read_value(GithubAppPatch, given, ctx.server)
        with ctx.server.db.write() as tx:
            project = project_of(ctx, tx)
            app = change_app(tx, ctx.server.vault, _app_of(ctx, tx), patch.change())
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, problem=refused(error))
    return see(f"{address(project, app)}?saved=1")


def delete_app(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        project, app = project_of(ctx, tx), _app_of(ctx, tx)
    try:
        require_named(ctx, app.name, "GitHub App")
        with ctx.server.db.write() as tx:
            remove_credential(tx, _app_of(ctx, tx).credential)
    except UserError as error:
        return _page(ctx, undeleted=refused(error))
    return see(projects.address(project))


def _new(ctx: PageContext, given: Mapping[str, str], *, problem: Problem | None = None) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
    errors, left = placed(problem, FIELDS | {"organization"})
    return ctx.page(
        "github_app_new.html",
        200 if problem is None else problem.status,
        project=project,
        address=f"{projects.address(project)}/github-apps",
        given=given,
        errors=errors,
        left=left,
        retype=[name for name in ("private_key", "webhook_secret") if ctx.field(name)],
        webhook_url=f"{ctx.address}/webhooks/github",
    )


def _page(
    ctx: PageContext,
    *,
    problem: Problem | None = None,
    undeleted: Problem | None = None,
    seen: Seen | None = None,
) -> Response:
    with ctx.server.db.read() as tx:
        project, app = project_of(ctx, tx), _app_of(ctx, tx)
    errors, left = placed(problem, FIELDS)
    said = problem or undeleted
    return ctx.page(
        "github_app.html",
        200 if said is None else said.status,
        project=project,
        app=app,
        action=address(project, app),
        webhook_url=f"{ctx.address}/webhooks/github",
        given={},
        errors=errors,
        left=left,
        seen=seen,
        advice=[] if seen is None else advice_on(app, seen),
        saved=bool(ctx.query("saved")),
        retype=[name for name in ("private_key", "webhook_secret") if ctx.field(name)],
        undeleted="" if undeleted is None else undeleted.detail,
    )


def routes() -> list[Route]:
    path = "/projects/{project}/github-apps"
    return [
        get(path, show_new, Right.SECRETS),
        post(path, keep_by_hand, Right.SECRETS),
        post("/projects/{project}/github-app-manifest", prepare_manifest, Right.SECRETS),
        get("/projects/{project}/github-app-made", show_made, Right.SECRETS),
        post("/projects/{project}/github-app-made", keep_made, Right.SECRETS),
        get(f"{path}/{{github_app}}", show_app, Right.SECRETS),
        post(f"{path}/{{github_app}}", save_app, Right.SECRETS),
        post(f"{path}/{{github_app}}/look", look, Right.SECRETS),
        post(f"{path}/{{github_app}}/delete", delete_app, Right.SECRETS),
    ]
