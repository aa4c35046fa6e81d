"""`/settings`: one's own account, API tokens, how to connect a repository, the engine, backups and plans."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from starlette.responses import Response
from starlette.routing import Route

from app.commands import accounts
from app.commands.sign_in import require_password
from app.commands.tokens import issue_token
from app.domain import limits
from app.domain.errors import Busy, Conflict, InvalidValue
from app.domain.principals import SCOPES_OF, Right, Role, Scope
from app.domain.restarts import of_restart
from app.store import deliveries, overview, projects, sessions, tokens
from app.store.database import Tx
from app.store.sessions import Session
from app.web.pages.backups import backups_of
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.form_errors import placed
from app.web.pages.login import client_of
from app.web.problems import Problem, problem_of
from app.web.reach import number
from app.web.webhook_places import webhook_places

LIFETIMES = {"30": "in 30 days", "90": "in 90 days", "365": "in a year", "": "never"}
MAY = {
    "viewer": ("read jobs, runs and logs (viewer)", SCOPES_OF[Role.VIEWER]),
    "run": ("read and run", (Scope.READ, Scope.RUN)),
    "operator": ("read, run, build and deploy (operator)", SCOPES_OF[Role.OPERATOR]),
    "admin": ("everything, secrets and tokens included (admin)", SCOPES_OF[Role.ADMIN]),
}
TOKENS = 200
OF_TOKEN = {"name": "", "days": "90", "role": "viewer", "project": ""}
PASSWORDS = frozenset({"current", "password", "again"})


def show_settings(ctx: PageContext) -> Response:
    return _settings(ctx)


def _settings(
    ctx: PageContext,
    status: int = 200,
    *,
    made: str | None = None,
    token_problem: Problem | None = None,
    problem: Problem | None = None,
) -> Response:
    with ctx.server.db.read() as tx:
        known = projects.page(tx, 100, None, only=ctx.projects)
        context: dict[str, object] = {
            "tokens": tokens.page(tx, TOKENS) if ctx.may(Right.TOKENS) else [],
            "projects": known,
            "sessions": _own_sessions(ctx, tx),
            "rejected": deliveries.rejected(tx) + ctx.server.inbox.rejected,
            "backups": backups_of(ctx, tx) if ctx.may(Right.PRUNE) else None,
            "restart": of_restart(*overview.at_work(tx)) if ctx.projects is None else None,
        }
    errors, left = placed(problem, PASSWORDS)
    token_errors, token_left = placed(token_problem, frozenset(OF_TOKEN))
    return ctx.page(
        "settings.html",
        status if problem is None else problem.status,
        errors=errors,
        left=left,
        given={},
        saved=bool(ctx.query("saved")),
        own_session=_shown(ctx.principal.session) if ctx.principal else "",
        made=made,
        token_errors=token_errors,
        token_left=token_left,
        token_given={name: _typed_of_token(ctx, name, token_problem) for name in OF_TOKEN},
        token_projects=[("", "all projects"), *((each.name, each.name) for each in known)],
        may=[(name, text) for name, (text, _) in MAY.items()],
        project_of={each.id: each.name for each in known},
        lifetimes=LIFETIMES,
        plans=ctx.server.plans,
        health=ctx.server.engine_health(),
        webhook_base=ctx.address,
        webhook_places=webhook_places(),
        **context,
    )


def _typed_of_token(ctx: PageContext, name: str, problem: Problem | None) -> str:
    """What stays typed where a token was refused, and what is chosen at first."""
    return OF_TOKEN[name] if problem is None else ctx.field(name)


def _own_sessions(ctx: PageContext, tx: Tx) -> Sequence[Session]:
    user_id = ctx.principal.user_id if ctx.principal else None
    return [] if user_id is None else sessions.of_user(tx, user_id, ctx.now, ctx.server.desk.limits)


def _shown(session: str | None) -> str:
    return (session or "")[: sessions.SHOWN]


def _user_id(ctx: PageContext) -> int:
    """Of who is logged in. Raises Conflict for an API token, which is nobody's account."""
    if ctx.principal is None or ctx.principal.user_id is None:
        raise Conflict("You are logged in with an API token, which has no account.")
    return ctx.principal.user_id


def change_password(ctx: PageContext) -> Response:
    server, user_id = ctx.server, _user_id(ctx)
    session = ctx.principal.session if ctx.principal else None
    try:
        if ctx.field("password") != ctx.field("again"):
            raise InvalidValue("again", "The two passwords differ.")
        require_password(
            server.db, server.desk, user_id, ctx.field("current"), session, client_of(ctx), ctx.now
        )
        accounts.change_password(server.db, user_id, ctx.field("password"), session=session)
    except (InvalidValue, Conflict, Busy) as error:
        return _settings(ctx, problem=problem_of(error))
    return see("/settings?saved=1#account")


def end_session(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        sessions.end_one(tx, _user_id(ctx), ctx.path("session"))
    return see("/settings#account")


def end_other_sessions(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        sessions.end_of_user(tx, _user_id(ctx), but=ctx.principal.session if ctx.principal else None)
    return see("/settings#account")


def make_token(ctx: PageContext) -> Response:
    """The one answer that shows a token; it is not a redirect, as the token must be in no address and no store."""
    try:
        name, role, days = _read(ctx)
        expires_at = ctx.now + timedelta(days=int(days)) if days else None
        with ctx.server.db.write() as tx:
            made = issue_token(
                tx,
                name=name,
                scopes=MAY[role][1],
                project=ctx.field("project") or None,
                expires_at=expires_at,
                now=ctx.now,
            )
    except (InvalidValue, Conflict) as error:
        problem = problem_of(error)
        return _settings(ctx, problem.status, token_problem=problem)
    return _settings(ctx, made=made.secret)


def _read(ctx: PageContext) -> tuple[str, str, str]:
    name, role, days = ctx.field("name").strip(), ctx.field("role"), ctx.field("days")
    if not 0 < len(name) <= limits.TOKEN_NAME:
        raise InvalidValue(
            "name", f"Give the token a name of 1 to {limits.TOKEN_NAME} characters, such as where it is used."
        )
    if role not in MAY:
        raise InvalidValue("role", "Choose what it may do from the list.")
    if days not in LIFETIMES:
        raise InvalidValue("days", "Choose from the list when it expires.")
    return name, role, days


def revoke_token(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        tokens.revoke(tx, tokens.with_id(tx, number(ctx.path("token"))).id)
    return see("/settings#tokens")


def routes() -> list[Route]:
    return [
        get("/settings", show_settings),
        post("/settings/password", change_password, Right.READ),
        post("/settings/sessions/end", end_other_sessions, Right.READ),
        post("/settings/sessions/{session}/end", end_session, Right.READ),
        post("/settings/tokens", make_token, Right.TOKENS),
        post("/settings/tokens/{token}/revoke", revoke_token, Right.TOKENS),
    ]
