"""Secret groups: variables that several jobs share. A secret value goes in and never comes out."""

from __future__ import annotations

from typing import Any

from app.commands import secret_groups as commands
from app.commands.variables import unmasked
from app.domain.documents import Json
from app.domain.principals import Right
from app.store import secret_groups
from app.store.database import Tx
from app.store.projects import Project
from app.store.secret_groups import SecretGroup
from app.web.api.lists import confirmed, paged
from app.web.api.operations import ApiContext, Operation
from app.web.patching import patched_group
from app.web.reach import look_up
from app.web.schemas.base import Confirm, Empty, Page, Paging
from app.web.schemas.secret_group import SecretGroupAnswer, SecretGroupForm, SecretGroupPatch, shown_group
from app.web.scope import project_of
from app.web.server_context import ServerContext


def list_groups(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: secret_groups.page(tx, project.id, limit, before),
            lambda found: [_answer(ctx.server, each) for each in found],
        )


def create_group(ctx: ApiContext[SecretGroupForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        return _answer(ctx.server, _defined(ctx, tx, project))


def show_group(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return _answer(ctx.server, _group_of(ctx, tx, project_of(ctx, tx)))


def change_group(ctx: ApiContext[SecretGroupPatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        group = _group_of(ctx, tx, project)
        return _answer(ctx.server, _changed(ctx, tx, project, group))


def delete_group(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        group = _group_of(ctx, tx, project_of(ctx, tx))
        confirmed(ctx, group.name)
        secret_groups.delete(tx, group)


def _group_of(ctx: ApiContext[Any, Any], tx: Tx, project: Project) -> SecretGroup:
    name = ctx.path("g")
    return look_up(ctx, f"secret group {name}", lambda: secret_groups.named(tx, project.id, name))


def _defined(ctx: ApiContext[SecretGroupForm, Empty], tx: Tx, project: Project) -> SecretGroup:
    server = ctx.server
    return commands.define_group(
        tx, project, ctx.body.draft(), vault=server.vault, ours=server.ours, now=ctx.now
    )


def _changed(
    ctx: ApiContext[SecretGroupPatch, Empty], tx: Tx, project: Project, group: SecretGroup
) -> SecretGroup:
    server, draft = ctx.server, patched_group(group, ctx.body.root, ctx.server)
    return commands.change_group(tx, project, group, draft, vault=server.vault, ours=server.ours)


def _answer(server: ServerContext, group: SecretGroup) -> Json:
    warnings = unmasked(group.env, server.vault, group.project_id)
    return {**shown_group(group), "id": group.id, "created_at": group.created_at, "warnings": warnings}


PATH = "/projects/{p}/secret-groups"
OPERATIONS = (
    Operation(
        "GET",
        PATH,
        "List a project's secret groups",
        list_groups,
        query=Paging,
        answer=Page[SecretGroupAnswer],
    ),
    Operation(
        "POST",
        PATH,
        "Make a secret group",
        create_group,
        Right.SECRETS,
        body=SecretGroupForm,
        answer=SecretGroupAnswer,
        status=201,
    ),
    Operation("GET", PATH + "/{g}", "Show a secret group", show_group, answer=SecretGroupAnswer),
    Operation(
        "PATCH",
        PATH + "/{g}",
        "Change a secret group; runs that wait or go on keep what they have",
        change_group,
        Right.SECRETS,
        body=SecretGroupPatch,
        answer=SecretGroupAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{g}",
        "Delete a secret group",
        delete_group,
        Right.SECRETS,
        query=Confirm,
        status=204,
    ),
)
