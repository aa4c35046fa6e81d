"""Webhooks of a project's repositories, at their forges."""

from __future__ import annotations

from typing import Any

from app.domain.principals import Right
from app.web.api.operations import ApiContext, Operation
from app.web.schemas.base import Empty
from app.web.schemas.repository_hook import HooksAnswer, HooksForm, hooks_answer
from app.web.scope import project_of


def show_hooks(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return hooks_answer(tx, ctx.server.inbox, project_of(ctx, tx).id)


def ask_forges(ctx: ApiContext[HooksForm, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
    hooks = ctx.server.repository_hooks
    (hooks.register if ctx.body.register_ else hooks.look)(project, ctx.server.public_url)
    with ctx.server.db.read() as tx:
        return hooks_answer(tx, ctx.server.inbox, project.id)


PATH = "/projects/{p}/hooks"
OPERATIONS = (
    Operation(
        "GET",
        PATH,
        "What is known of the webhooks of a project's repositories",
        show_hooks,
        answer=HooksAnswer,
    ),
    Operation(
        "POST",
        PATH,
        "Register the webhooks of a project's repositories at their forges, or look at them",
        ask_forges,
        Right.SECRETS,
        body=HooksForm,
        answer=HooksAnswer,
    ),
)
