"""Credentials: for Git servers and image registries. What is secret goes in and never comes out."""

from __future__ import annotations

from typing import Any

from app.commands import credentials as commands
from app.commands.remote_access import without_host
from app.domain.principals import Right
from app.store import credentials
from app.store.credentials import Credential
from app.store.database import Tx
from app.store.projects import Project
from app.web.api.lists import confirmed, paged
from app.web.api.operations import ApiContext, Operation
from app.web.reach import look_up
from app.web.schemas.base import Confirm, Empty, Page, Paging
from app.web.schemas.credential import (
    CredentialAnswer,
    CredentialForm,
    CredentialPatch,
    HostKeyAnswer,
    HostKeysAnswer,
)
from app.web.scope import project_of


def list_credentials(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: credentials.page(tx, project.id, limit, before),
            lambda found: [_answer(each) for each in found],
        )


def create_credential(ctx: ApiContext[CredentialForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        return _answer(commands.define_credential(tx, ctx.server.vault, project, ctx.body.draft(), ctx.now))


def show_credential(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return _answer(_credential_of(ctx, tx, project_of(ctx, tx)))


def change_credential(ctx: ApiContext[CredentialPatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        found = _credential_of(ctx, tx, project_of(ctx, tx))
        return _answer(commands.change_credential(tx, ctx.server.vault, found, ctx.body.change(), ctx.now))


def ask_for_host_keys(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        found = _credential_of(ctx, tx, project_of(ctx, tx))
    shown = commands.shown_host_keys(found, ctx.server.host_keys_of)
    pinned = commands.pinned_host_keys(found)
    return HostKeysAnswer(
        shown=[HostKeyAnswer.of(key) for key in shown], is_known=any(key in pinned for key in shown)
    )


def delete_credential(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        found = _credential_of(ctx, tx, project_of(ctx, tx))
        confirmed(ctx, found.name)
        commands.remove_credential(tx, found)


def _credential_of(ctx: ApiContext[Any, Any], tx: Tx, project: Project) -> Credential:
    name = ctx.path("c")
    return look_up(ctx, f"credential {name}", lambda: credentials.named(tx, project.id, name))


def _answer(credential: Credential) -> CredentialAnswer:
    shown = ("id", "name", "kind", "host", "username", "api_url", "forge", "created_at")
    warnings = [] if credential.host else [without_host(credential.name)]
    return CredentialAnswer(
        **{name: getattr(credential, name) for name in shown},
        public_key=credential.public_key,
        host_keys=[HostKeyAnswer.of(key) for key in commands.pinned_host_keys(credential)],
        host_keys_from=commands.host_keys_from(credential),
        warnings=warnings,
    )


PATH = "/projects/{p}/credentials"
OPERATIONS = (
    Operation(
        "GET",
        PATH,
        "List a project's credentials",
        list_credentials,
        query=Paging,
        answer=Page[CredentialAnswer],
    ),
    Operation(
        "POST",
        PATH,
        "Keep a credential",
        create_credential,
        Right.SECRETS,
        body=CredentialForm,
        answer=CredentialAnswer,
        status=201,
    ),
    Operation("GET", PATH + "/{c}", "Show a credential", show_credential, answer=CredentialAnswer),
    Operation(
        "PATCH",
        PATH + "/{c}",
        "Change the user, the secret or the host keys of a credential, or set its host if it has none",
        change_credential,
        Right.SECRETS,
        body=CredentialPatch,
        answer=CredentialAnswer,
    ),
    Operation(
        "POST",
        PATH + "/{c}/host-keys",
        "Ask the ssh server of a credential for its host keys",
        ask_for_host_keys,
        Right.SECRETS,
        answer=HostKeysAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{c}",
        "Forget a credential",
        delete_credential,
        Right.SECRETS,
        query=Confirm,
        status=204,
    ),
)
