"""Requests for pages: what a form sends is read, errors become pages. Handlers run in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from app.domain.audit import Action
from app.domain.errors import InvalidValue
from app.domain.principals import Principal, Right
from app.web.actions import OF_FORMS
from app.web.auditing import audited, refuse
from app.web.bodies import read_at_most
from app.web.event_streams import Stream
from app.web.numbers import whole_number
from app.web.pages.render import render
from app.web.principal import identify
from app.web.problems import Problem, problem_of
from app.web.request_context import RequestContext, refuse_other_sites, require_admission
from app.web.server_context import server_of

Handler = Callable[["PageContext"], Response]
FORM_TYPE = "application/x-www-form-urlencoded"
FORM_BYTES = 1024 * 1024
FORM_FIELDS = 1000
IN_PLACE, GOES_TO = (
    "jobyard-in-place",
    "jobyard-goes-to",
)  # headers of a form that a script sends, and of its answer


@dataclass(frozen=True)
class PageContext(RequestContext):
    """A request for a page, or of a form on one."""

    form: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "")

    def number(self, name: str) -> int | None:
        """A number of the query; None where it is missing or no number."""
        return whole_number(self.query(name))

    def field(self, name: str) -> str:
        values = self.form.get(name) or [""]
        return values[0]

    def page(self, template: str, status: int = 200, **context: object) -> Response:
        return render(self.request, template, status, ctx=self, now=self.now, **context)


def see(path: str) -> Response:
    """After a POST: go and look there."""
    return RedirectResponse(path, 303)


class PageRoute(Route):
    """A route with the right that its visitor needs; None lets anybody in."""

    def __init__(
        self, path: str, endpoint: Callable[[Request], object], method: str, right: Right | None
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.right = right


class StreamRoute(PageRoute):
    """A page's stream of what happens there; `handler` is what answers, for whoever has several in one."""

    def __init__(self, path: str, handler: Callable[[PageContext], Stream]) -> None:
        super().__init__(path, _endpoint(handler, Right.READ, takes_form=False), "GET", Right.READ)
        self.handler = handler


def get(path: str, handler: Handler, right: Right | None = Right.READ) -> Route:
    """A page."""
    return PageRoute(path, _endpoint(handler, right, takes_form=False), "GET", right)


def post(path: str, handler: Handler, right: Right | None) -> Route:
    """An action of a form on one of our pages; it answers with a redirect. The audit log has a name for each."""
    return PageRoute(path, _endpoint(handler, right, OF_FORMS[path], takes_form=True), "POST", right)


def post_of_strangers(path: str, handler: Handler) -> Route:
    """An action that lets people in. What is refused leaves at a bounded pace, as who guesses waits for it."""
    endpoint = _endpoint(handler, None, OF_FORMS[path], takes_form=True)

    async def paced(request: Request) -> Response:
        answer = await endpoint(request)
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            await asyncio.sleep(server_of(request).desk.refusing.wait(asyncio.get_running_loop().time()))
        return answer

    return PageRoute(path, paced, "POST", None)


def _endpoint(
    handler: Handler, right: Right | None, action: Action | None = None, *, takes_form: bool
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            form = await _form(request) if takes_form else {}
            return await run_in_threadpool(_answer, handler, right, action, request, form)
        except Exception as error:
            return await page_error(request, error)

    return endpoint


def _answer(
    handler: Handler,
    right: Right | None,
    action: Action | None,
    request: Request,
    form: Mapping[str, Sequence[str]],
) -> Response:
    server, principal = server_of(request), identify(request)
    with audited(request, principal, action):
        if request.method == "POST":
            refuse_other_sites(request)
        if right is not None:
            require(principal, right, in_project="project" in request.path_params)
        now = server.clock.now()
        answer = handler(PageContext(request, server, principal, now, right or Right.READ, form))
    if answer.status_code == 403 and action is not None:
        refuse(request, principal, action, "A field of the form named what is not theirs to change.")
    return _for_scripts(answer) if IN_PLACE in request.headers else answer


def _for_scripts(answer: Response) -> Response:
    """A redirect as `static/forms.js` can read it: where it leads to, with the fragment that fetch would leave out."""
    if answer.status_code != HTTPStatus.SEE_OTHER:
        return answer
    return Response(status_code=204, headers={GOES_TO: answer.headers["location"]})


def require(principal: Principal | None, right: Right, *, in_project: bool) -> None:
    """Raises 401 for nobody, 403 for somebody who has the right nowhere."""
    if principal is None:
        raise Problem(401, "Log in to see this.")
    require_admission(principal, right, in_project=in_project)


async def _form(request: Request) -> dict[str, list[str]]:
    body = await read_at_most(request, FORM_BYTES)
    if body and request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise Problem(415, f"A form must be sent as {FORM_TYPE}.")
    try:
        given = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FORM_FIELDS)
    except ValueError as error:
        raise Problem(400, "The form can't be read: it is not UTF-8, or has too many fields.") from error
    form: dict[str, list[str]] = {}
    for name, value in given:
        if "\0" in value:
            raise InvalidValue(name, f"{name} must be text.")
        form.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return form


_ADVICE = {
    403: "Ask an administrator for the right, or log in as somebody else.",
    404: "It may have been deleted, or the address has a typing error.",
    405: "Go back and use the button on the page.",
    409: "Go back, look at its state now, and try again.",
    422: "Go back and change the value.",
    413: "Send less at once.",
    429: "Wait some seconds, then load the page again; what was refused was not done.",
    503: "Try again in a moment; if it stays, look at the settings page for what is down.",
    500: "Try again; if it stays, the server's log says more.",
}


async def page_error(request: Request, error: Exception) -> Response:
    """Any failure as a page: what, why, what to do. Nobody who is not logged in is sent to log in first."""
    problem = problem_of(error)
    if problem.status == 401 and request.method == "GET":
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(wanted, safe='')}", 303)
    advice = _ADVICE.get(problem.status, "Go back and try again.")
    ctx = await run_in_threadpool(_somebody, request)
    answer = render(request, "error.html", problem.status, ctx=ctx, problem=problem, advice=advice)
    answer.headers.update(problem.headers)
    return answer


def _somebody(request: Request) -> PageContext | None:
    """The visitor of a page that failed, if that much still works."""
    try:
        server = server_of(request)
        return PageContext(request, server, identify(request), server.clock.now(), Right.READ)
    except Exception:  # whatever is broken, the error itself must reach the reader
        return None
