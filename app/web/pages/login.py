"""`/login`, `/login/once/{code}`, `/logout`: sessions of browsers."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from starlette.responses import Response
from starlette.routing import Route

from app.commands import accounts, sessions
from app.commands.mails import ask_for_reset
from app.commands.sessions import Client
from app.commands.sign_in import LINK_OF_NO_USE, SignedIn, sign_in, welcome
from app.commands.sign_in import refused as turned_away
from app.domain.audit import Action, Kind
from app.domain.errors import Conflict, InvalidValue
from app.web.auditing import refuse
from app.web.pages.context import PageContext, get, post, post_of_strangers, see
from app.web.pages.form_errors import placed, refused
from app.web.principal import COOKIE, DEVICE
from app.web.problems import Problem

DEVICE_SECONDS = 365 * 24 * 3600
OF_NO_USE = "Link of no use."
WRONG = "Wrong name or password. An administrator's API token works as the password, too."
LINK_FIELDS = frozenset({"name", "email", "password", "again"})


def show_login(ctx: PageContext) -> Response:
    if ctx.principal is not None:
        return see(inside(ctx.query("next")))
    return login_page(ctx, 200, inside(ctx.query("next")))


def login_page(ctx: PageContext, status: int, wanted: str, *, name: str = "", trouble: str = "") -> Response:
    """The form to log in with, and the way to the identity provider if there is one."""
    by_provider = f"/login/oidc?next={quote(wanted, safe='')}" if ctx.server.provider else ""
    return ctx.page("login.html", status, next=wanted, name=name, trouble=trouble, by_provider=by_provider)


def show_forgot(ctx: PageContext) -> Response:
    return ctx.page("login_forgot.html", asked=False) if ctx.server.sends_mail else see("/login")


def ask_for_link(ctx: PageContext) -> Response:
    """The same answer to whoever asks, for whatever account."""
    if not ctx.server.sends_mail:
        return see("/login")
    ask_for_reset(ctx.server.db, ctx.server.desk, ctx.field("name"), client_of(ctx), ctx.now)
    return ctx.page("login_forgot.html", asked=True)


def log_in(ctx: PageContext) -> Response:
    name, wanted, server = ctx.field("name"), inside(ctx.field("next")), ctx.server
    signed_in = sign_in(
        server.db, server.desk, name, ctx.field("password"), client_of(ctx), ctx.now, server.admin_token_hash
    )
    if signed_in is None:
        return login_page(ctx, 422, wanted, name=name, trouble=WRONG)
    return with_session(ctx, see(wanted), signed_in)


def show_link(ctx: PageContext) -> Response:
    """Opening the link spends nothing, as programs that preview links open them too."""
    page = _link_page(ctx)
    if page.status_code == 410:
        refuse(ctx.request, ctx.principal, Action.USER_ACCEPT_LINK, OF_NO_USE, Kind.LINK)
    return page


def accept_link(ctx: PageContext) -> Response:
    """Spend the link: the account is the visitor's, who is logged in to it."""
    try:
        if ctx.field("password") != ctx.field("again"):
            raise InvalidValue("again", "The two passwords differ.")
        user_id = accounts.accept(
            ctx.server.db,
            ctx.path("code"),
            name=ctx.field("name"),
            email=ctx.field("email"),
            password=ctx.field("password"),
            now=ctx.now,
        )
    except (InvalidValue, Conflict) as error:
        return _link_page(ctx, refused(error))
    if user_id is None:
        turned_away(ctx.server.db, ctx.server.desk, client_of(ctx), None, LINK_OF_NO_USE, ctx.now)
        return _link_page(ctx)
    signed_in = welcome(ctx.server.db, ctx.server.desk, user_id, client_of(ctx), ctx.now)
    return with_session(ctx, see("/"), signed_in)


def _link_page(ctx: PageContext, problem: Problem | None = None) -> Response:
    with ctx.server.db.read() as tx:
        found = accounts.read_link(tx, ctx.path("code"), ctx.now)
    if found is None:
        return ctx.page("login_once.html", 410, link=None, user=None, given={}, errors={}, left="")
    link, user = found
    errors, left = placed(problem, LINK_FIELDS)
    known = {"name": user.name, "email": user.email or ""} if user else {}
    typed = {name: ctx.field(name) for name in ("name", "email") if name in ctx.form}
    return ctx.page(
        "login_once.html",
        200 if problem is None else problem.status,
        code=ctx.path("code"),
        link=link,
        user=user,
        given={**known, **typed},
        errors=errors,
        left=left,
    )


def log_out(ctx: PageContext) -> Response:
    if session := ctx.request.cookies.get(COOKIE):
        sessions.log_out(ctx.server.db, session)
    answer = see("/login")
    answer.delete_cookie(COOKIE)
    return answer


def client_of(ctx: PageContext) -> Client:
    headers, cookies = ctx.request.headers, ctx.request.cookies
    return Client(ctx.from_address, headers.get("user-agent", ""), cookies.get(DEVICE))


def with_session(ctx: PageContext, answer: Response, signed_in: SignedIn) -> Response:
    lasts = int(ctx.server.desk.limits.absolute.total_seconds())
    set_cookie(ctx, answer, COOKIE, signed_in.session, lasts)
    if signed_in.device is not None:
        set_cookie(ctx, answer, DEVICE, signed_in.device, DEVICE_SECONDS)
    return answer


def set_cookie(ctx: PageContext, answer: Response, name: str, value: str, lasts: int) -> None:
    is_secure = ctx.request.url.scheme == "https" or ctx.server.public_url.startswith("https:")
    answer.set_cookie(name, value, max_age=lasts, httponly=True, samesite="lax", secure=is_secure)


def inside(path: str) -> str:
    """A path of ours to go to next, never another site."""
    parts = urlsplit(path)
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc
    return path if is_ours and path.isprintable() else "/"


def routes() -> list[Route]:
    return [
        get("/login", show_login, right=None),
        post_of_strangers("/login", log_in),
        get("/login/forgot", show_forgot, right=None),
        post("/login/forgot", ask_for_link, right=None),
        get("/login/once/{code}", show_link, right=None),
        post_of_strangers("/login/once/{code}", accept_link),
        post("/logout", log_out, right=None),
    ]
