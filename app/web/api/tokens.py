"""API tokens. The secret is shown once, when a token is made."""

from __future__ import annotations

from typing import Any

from app.commands.tokens import issue_token
from app.domain.principals import Right, role_of
from app.store import projects, tokens
from app.store.database import Tx
from app.store.tokens import Token
from app.web.api.lists import confirmed, paged
from app.web.api.operations import ApiContext, Operation
from app.web.reach import number
from app.web.schemas.base import Confirm, Empty, Page, Paging
from app.web.schemas.token import NewTokenAnswer, TokenAnswer, TokenForm


def list_tokens(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        return paged(
            ctx,
            lambda limit, before: tokens.page(tx, limit, before),
            lambda found: [_answer(tx, each) for each in found],
        )


def create_token(ctx: ApiContext[TokenForm, Empty]) -> Any:
    form = ctx.body
    with ctx.server.db.write() as tx:
        made = issue_token(
            tx,
            name=form.name,
            scopes=form.wanted_scopes(),
            project=form.project,
            expires_at=form.wanted_end(ctx.now),
            now=ctx.now,
        )
        return NewTokenAnswer(**vars(_answer(tx, made.token)), token=made.secret)


def revoke_token(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        token = tokens.with_id(tx, number(ctx.path("id")))
        confirmed(ctx, token.name)
        tokens.revoke(tx, token.id)


def _answer(tx: Tx, token: Token) -> TokenAnswer:
    project = None if token.project_id is None else projects.with_id(tx, token.project_id).name
    return TokenAnswer(
        id=token.id,
        name=token.name,
        scopes=list(token.scopes),
        role=role_of(token.scopes),
        project=project,
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
    )


PATH = "/tokens"
OPERATIONS = (
    Operation("GET", PATH, "List tokens", list_tokens, Right.TOKENS, query=Paging, answer=Page[TokenAnswer]),
    Operation(
        "POST",
        PATH,
        "Create token",
        create_token,
        Right.TOKENS,
        body=TokenForm,
        answer=NewTokenAnswer,
        status=201,
    ),
    Operation(
        "DELETE", PATH + "/{id}", "Revoke a token", revoke_token, Right.TOKENS, query=Confirm, status=204
    ),
)
