"""`/login`, `/login/once/{code}`, `/logout`: sessions of browsers."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.routing import Route

from app.store import users
from app.web import principal
from app.web.pages.context import PageContext, get, post, see
from app.web.principal import COOKIE, SESSION_LASTS, digest


def show_login(ctx: PageContext) -> Response:
    if ctx.principal is not None:
        return see(_inside(ctx.query("next")))
    return ctx.page("login.html", next=_inside(ctx.query("next")), name="", wrong=False)


def log_in(ctx: PageContext) -> Response:
    name, wanted = ctx.field("name"), _inside(ctx.field("next"))
    session = principal.log_in(ctx.server, name, ctx.field("password"))
    if session is None:
        return ctx.page("login.html", 422, next=wanted, name=name, wrong=True)
    return _with_session(ctx, see(wanted), session)


def show_link(ctx: PageContext) -> Response:
    """Opening the link spends nothing, as programs that preview links open them too."""
    return ctx.page("login_once.html", code=ctx.path("code"), spent=False)


def spend_link(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        good = users.spend_login_link(tx, digest(ctx.path("code")), ctx.now)
    if not good:
        return ctx.page("login_once.html", 410, code="", spent=True)
    return _with_session(ctx, see("/"), principal.open_session(ctx.server))


def log_out(ctx: PageContext) -> Response:
    if session := ctx.request.cookies.get(COOKIE):
        with ctx.server.db.write() as tx:
            users.log_out(tx, digest(session))
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
