"""GitHub Apps of a project: an alternative to a token and a webhook secret for each repository."""

from __future__ import annotations

from typing import Any

from app.commands import github_apps as commands
from app.commands.credentials import remove_credential
from app.domain.principals import Right
from app.store import github_apps
from app.store.database import Tx
from app.store.github_apps import GithubApp
from app.web.api.lists import confirmed
from app.web.api.operations import ApiContext, Operation
from app.web.reach import github_app_named
from app.web.schemas.base import Confirm, Empty, Page
from app.web.schemas.github_app import GithubAppAnswer, GithubAppForm, GithubAppPatch, SeenAppAnswer
from app.web.scope import project_of


def list_github_apps(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        found = github_apps.of_project(tx, project_of(ctx, tx).id)
    return {"items": [_answer(ctx, app) for app in reversed(found)], "next": None}


def keep_github_app(ctx: ApiContext[GithubAppForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project, vault = project_of(ctx, tx), ctx.server.vault
        return _answer(ctx, commands.define_app(tx, vault, project, ctx.body.draft(), ctx.now))


def show_github_app(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return _answer(ctx, _app_of(ctx, tx))


def change_github_app(ctx: ApiContext[GithubAppPatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        changed = commands.change_app(tx, ctx.server.vault, _app_of(ctx, tx), ctx.body.change())
        return _answer(ctx, changed)


def look_at_github_app(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        app = _app_of(ctx, tx)
    return SeenAppAnswer.of(
        app, commands.seen_app(ctx.server.db, ctx.server.vault, ctx.server.app_tokens, app)
    )


def delete_github_app(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        found = _app_of(ctx, tx)
        confirmed(ctx, found.name)
        remove_credential(tx, found.credential)


def _app_of(ctx: ApiContext[Any, Any], tx: Tx) -> GithubApp:
    return github_app_named(ctx, tx, project_of(ctx, tx), ctx.path("ga"))


def _answer(ctx: ApiContext[Any, Any], app: GithubApp) -> GithubAppAnswer:
    return GithubAppAnswer(
        id=app.id,
        name=app.name,
        host=app.credential.host,
        app_id=app.app_id,
        slug=app.slug,
        api_url=app.api_url,
        has_webhook_secret=app.webhook_secret is not None,
        webhook_url=f"{ctx.address}/webhooks/github",
        created_at=app.credential.created_at,
    )


PATH = "/projects/{p}/github-apps"
OPERATIONS = (
    Operation("GET", PATH, "List a project's GitHub Apps", list_github_apps, answer=Page[GithubAppAnswer]),
    Operation(
        "POST",
        PATH,
        "Keep a GitHub App",
        keep_github_app,
        Right.SECRETS,
        body=GithubAppForm,
        answer=GithubAppAnswer,
        status=201,
    ),
    Operation("GET", PATH + "/{ga}", "Show a GitHub App", show_github_app, answer=GithubAppAnswer),
    Operation(
        "PATCH",
        PATH + "/{ga}",
        "Change the private key or the webhook secret of a GitHub App",
        change_github_app,
        Right.SECRETS,
        body=GithubAppPatch,
        answer=GithubAppAnswer,
    ),
    Operation(
        "POST",
        PATH + "/{ga}/look",
        "Ask GitHub what a GitHub App may, and which repositories it reaches",
        look_at_github_app,
        Right.SECRETS,
        answer=SeenAppAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{ga}",
        "Forget a GitHub App",
        delete_github_app,
        Right.SECRETS,
        query=Confirm,
        status=204,
    ),
)
