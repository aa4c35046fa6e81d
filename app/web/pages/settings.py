"""`/settings`: API tokens, how to connect a repository, whether the engine is well, and the plans."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from app.commands.tokens import issue_token
from app.domain import limits
from app.domain.errors import InvalidValue
from app.domain.principals import Right, Role
from app.store import deliveries, projects, tokens
from app.web.pages.context import PageContext, get, post, see
from app.web.reach import number

LIFETIMES = {"30": "30 days", "90": "90 days", "365": "a year", "": "for ever"}
TOKENS = 200


def show_settings(ctx: PageContext) -> Response:
    return _settings(ctx)


def _settings(
    ctx: PageContext, status: int = 200, *, made: str | None = None, wrong: str | None = None
) -> Response:
    with ctx.server.db.read() as tx:
        context: dict[str, Any] = {
            "tokens": tokens.page(tx, TOKENS) if ctx.may(Right.TOKENS) else [],
            "projects": projects.page(tx, 100, None, only=ctx.projects),
            "rejected": deliveries.rejected(tx) + ctx.server.inbox.rejected,
        }
    return ctx.page(
        "settings.html",
        status,
        made=made,
        wrong=wrong,
        roles=list(Role),
        lifetimes=LIFETIMES,
        plans=ctx.server.plans,
        health=ctx.server.engine_health(),
        webhook_url=f"{ctx.address}/webhooks/github",
        **context,
    )


def make_token(ctx: PageContext) -> Response:
    """The one answer that shows a token; it is not a redirect, as the token must be in no address and no store."""
    try:
        name, role, days = _read(ctx)
    except InvalidValue as error:
        return _settings(ctx, 422, wrong=str(error))
    expires_at = ctx.now + timedelta(days=int(days)) if days else None
    with ctx.server.db.write() as tx:
        made = issue_token(tx, name=name, role=role, project=None, expires_at=expires_at, now=ctx.now)
    return _settings(ctx, made=made.secret)


def _read(ctx: PageContext) -> tuple[str, Role, str]:
    name, role, days = ctx.field("name").strip(), ctx.field("role"), ctx.field("days")
    if not 0 < len(name) <= limits.TOKEN_NAME:
        raise InvalidValue(
            "name", f"Give the token a name of 1 to {limits.TOKEN_NAME} characters, such as where it is used."
        )
    if role not in set(Role) or days not in LIFETIMES:
        raise InvalidValue("role", "Choose the role and the time from the lists.")
    return name, Role(role), days


def revoke_token(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        tokens.revoke(tx, tokens.with_id(tx, number(ctx.path("token"))).id)
    return see("/settings#tokens")


def routes() -> list[Route]:
    return [
        get("/settings", show_settings),
        post("/settings/tokens", make_token, Right.TOKENS),
        post("/settings/tokens/{token}/revoke", revoke_token, Right.TOKENS),
    ]
