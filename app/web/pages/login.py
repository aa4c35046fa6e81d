"""`/login`, `/login/once/{code}`, `/logout`: sessions of browsers."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.routing import Route

from app.store import access
from app.web import principal
from app.web.pages.visit import Visit, get, post, see
from app.web.principal import COOKIE, SESSION_LASTS, digest


def show_login(visit: Visit) -> Response:
    if visit.principal is not None:
        return see(_inside(visit.query("next")))
    return visit.page("login.html", next=_inside(visit.query("next")), name="", wrong=False)


def log_in(visit: Visit) -> Response:
    name, wanted = visit.field("name"), _inside(visit.field("next"))
    session = principal.log_in(visit.yard, name, visit.field("password"))
    if session is None:
        return visit.page("login.html", 422, next=wanted, name=name, wrong=True)
    return _with_session(visit, see(wanted), session)


def show_link(visit: Visit) -> Response:
    """Opening the link spends nothing, as programs that preview links open them too."""
    return visit.page("login_once.html", code=visit.path("code"), spent=False)


def spend_link(visit: Visit) -> Response:
    with visit.yard.db.write() as tx:
        good = access.spend_login_link(tx, digest(visit.path("code")), visit.now)
    if not good:
        return visit.page("login_once.html", 410, code="", spent=True)
    return _with_session(visit, see("/"), principal.open_session(visit.yard))


def log_out(visit: Visit) -> Response:
    if session := visit.request.cookies.get(COOKIE):
        with visit.yard.db.write() as tx:
            access.log_out(tx, digest(session))
    answer = see("/login")
    answer.delete_cookie(COOKIE)
    return answer


def _with_session(visit: Visit, answer: Response, session: str) -> Response:
    answer.set_cookie(
        COOKIE,
        session,
        max_age=int(SESSION_LASTS.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=visit.request.url.scheme == "https" or visit.yard.public_url.startswith("https:"),
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
