"""Secret groups: variables that several jobs share. A secret value goes in and never comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.commands.variables import require_usable_variables, seal_all, unmasked
from app.domain.errors import InvalidValue, NotFound
from app.domain.job.codec import shown_env
from app.domain.principals import Role
from app.store import jobs, secret_groups
from app.store.database import Tx
from app.store.projects import Project
from app.store.secret_groups import SecretGroup
from app.web.api.operations import ApiContext, Operation
from app.web.api.scope import confirmed, paged, project_of, within
from app.web.patching import merge_patch, require_changeable
from app.web.reading import read_value
from app.web.schemas.base import Confirm, Empty, Page, Paging
from app.web.schemas.drafts import env_drafts
from app.web.schemas.secret_group import (
    READ_ONLY,
    SecretGroupAnswer,
    SecretGroupForm,
    SecretGroupPatch,
)
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
        project = project_of(ctx, tx, Role.OPERATOR)
        return _answer(ctx.server, define(tx, ctx.server, project, ctx.body))


def show_group(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return _answer(ctx.server, _group_of(ctx, tx, project_of(ctx, tx)))


def change_group(ctx: ApiContext[SecretGroupPatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        group = _group_of(ctx, tx, project, Role.OPERATOR)
        return _answer(ctx.server, redefine(tx, ctx.server, project, group, ctx.body.root))


def delete_group(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        group = _group_of(ctx, tx, project_of(ctx, tx), Role.OPERATOR)
        confirmed(ctx, group.name)
        secret_groups.delete(tx, group)


def _group_of(ctx: ApiContext[Any, Any], tx: Tx, project: Project, role: Role = Role.VIEWER) -> SecretGroup:
    name = ctx.path("g")
    return within(ctx, role, f"secret group {name}", lambda: secret_groups.named(tx, project.id, name))


def define(tx: Tx, server: ServerContext, project: Project, form: SecretGroupForm) -> SecretGroup:
    """A new group. Raises InvalidValue or Conflict, and then nothing is made."""
    _require_jobs(tx, project, form)
    require_usable_variables(tx, server.ours, project.id, env_drafts(form.env))
    env = seal_all(env_drafts(form.env), server.vault, {})
    made = secret_groups.create(tx, project.id, form.name, form.priority, env, server.clock.now())
    secret_groups.attach(tx, made, form.jobs)
    return secret_groups.named(tx, project.id, form.name)


def redefine(
    tx: Tx, server: ServerContext, project: Project, group: SecretGroup, patch: Mapping[str, Any]
) -> SecretGroup:
    """The group with a patch merged in. Raises InvalidValue or ValidationError, and then it stays as it was."""
    require_changeable(patch, group.name, READ_ONLY)
    form = read_value(SecretGroupForm, merge_patch(form_of(group), patch), server)
    _require_jobs(tx, project, form)
    require_usable_variables(tx, server.ours, project.id, env_drafts(form.env))
    secret_groups.change(
        tx, group, priority=form.priority, env=seal_all(env_drafts(form.env), server.vault, group.env)
    )
    secret_groups.attach(tx, group, form.jobs)
    return secret_groups.named(tx, project.id, group.name)


def _require_jobs(tx: Tx, project: Project, form: SecretGroupForm) -> None:
    for number, name in enumerate(form.jobs):
        try:
            jobs.named(tx, project.name, name)
        except NotFound:
            message = f"jobs.{number} must name a job of project {project.name}, not {name!r}."
            raise InvalidValue(f"jobs.{number}", message) from None


def form_of(group: SecretGroup) -> dict[str, Any]:
    """What is stored as it could be given again: secrets are there, without their values."""
    return {
        "name": group.name,
        "priority": group.priority,
        "env": shown_env(group.env),
        "jobs": list(group.jobs),
    }


def _answer(server: ServerContext, group: SecretGroup) -> dict[str, Any]:
    warnings = unmasked(group.env, server.vault)
    return {**form_of(group), "id": group.id, "created_at": group.created_at, "warnings": warnings}


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
        Role.OPERATOR,
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
        Role.OPERATOR,
        body=SecretGroupPatch,
        answer=SecretGroupAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{g}",
        "Delete a secret group",
        delete_group,
        Role.OPERATOR,
        query=Confirm,
        status=204,
    ),
)
