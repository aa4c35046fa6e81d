"""`/login`, `/login/once/{code}`, `/logout`: sessions of browsers."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.routing import Route

from app.commands import sessions
from app.commands.sessions import SESSION_LASTS
from app.web.pages.context import PageContext, get, post, see
from app.web.principal import COOKIE


def show_login(ctx: PageContext) -> Response:
    if ctx.principal is not None:
        return see(_inside(ctx.query("next")))
    return ctx.page("login.html", next=_inside(ctx.query("next")), name="", wrong=False)


def log_in(ctx: PageContext) -> Response:
    name, wanted = ctx.field("name"), _inside(ctx.field("next"))
    server = ctx.server
    session = sessions.log_in(server.db, name, ctx.field("password"), ctx.now, server.admin_token_hash)
    if session is None:
        return ctx.page("login.html", 422, next=wanted, name=name, wrong=True)
    return _with_session(ctx, see(wanted), session)


def show_link(ctx: PageContext) -> Response:
    """Opening the link spends nothing, as programs that preview links open them too."""
    return ctx.page("login_once.html", code=ctx.path("code"), spent=False)


def spend_link(ctx: PageContext) -> Response:
    session = sessions.spend_login_link(ctx.server.db, ctx.path("code"), ctx.now)
    if session is None:
        return ctx.page("login_once.html", 410, code="", spent=True)
    return _with_session(ctx, see("/"), session)


def log_out(ctx: PageContext) -> Response:
    if session := ctx.request.cookies.get(COOKIE):
        sessions.log_out(ctx.server.db, session)
    answer = see("/login")
    answer.delete_cookie(COOKIE)
    return answer


def _with_session(ctx: PageContext, answer: Response, session: str) -> Response:
    answer.set_cookie(
        COOKIE,
        session,
        max_age=int(SESSION_LASTS.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=ctx.request.url.scheme == "https" or ctx.server.public_url.startswith("https:"),
    )
    return answer


def _inside(path: str) -> str:
    """A path of ours to go to next, never another site."""
    parts = urlsplit(path)
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc
    return path if is_ours and path.isprintable() else "/"


def routes() -> list[Route]:
    return [
        get("/login", show_login, role=None),
        post("/login", log_in, role=None),
        get("/login/once/{code}", show_link, role=None),
        post("/login/once/{code}", spend_link, role=None),
        post("/logout", log_out, role=None),
    ]
