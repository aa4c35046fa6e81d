"""Who may open a shell: the request for a WebSocket is let in, or answered like any other of the API."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from app.commands.shells import Target
from app.domain.audit import actor_of
from app.domain.errors import InvalidValue
from app.domain.principals import Right
from app.web.actions import OF_SOCKETS
from app.web.api.operations import PREFIX
from app.web.api.routing import tell_of_token
from app.web.auditing import audited, from_address
from app.web.numbers import whole_number
from app.web.principal import identify
from app.web.problems import Problem, problem_of, problem_response
from app.web.request_context import RequestContext, refuse_other_sites, require_admission
from app.web.scope import run_of
from app.web.server_context import server_of
from app.web.shell.talk import LEAST, MOST, Size, Talk

PATH = "/runs/{id}/attempts/{n}/shell"
RIGHT = Right.SHELL
INSTANCES = 100


def shell_routes() -> list[WebSocketRoute]:
    return [WebSocketRoute(PREFIX + PATH, open_shell)]


async def open_shell(socket: WebSocket) -> None:
    """`?instance=0&columns=80&rows=24`, with a token in the header or a session of our own pages.

    Who may not is answered with a problem. What goes wrong later is the last message (`talk`).
    """
    request = Request({**socket.scope, "type": "http", "method": "GET"})  # it is one, until it is accepted
    try:
        context, target, size = await run_in_threadpool(_admitted, request)
    except Exception as error:
        await socket.send_denial_response(problem_response(problem_of(error)))
        return
    await socket.accept()
    actor = actor_of(context.principal, from_address(request))
    await Talk(context, socket, target, actor).begin(size)


def _admitted(request: Request) -> tuple[RequestContext, Target, Size]:
    server, principal = server_of(request), identify(request)
    if principal is None:
        tell_of_token(request)
        raise Problem(401, "This needs an API token: send Authorization: Bearer TOKEN.")
    with audited(request, principal, OF_SOCKETS[PATH]):
        if principal.is_browser:
            refuse_other_sites(request)
        require_admission(principal, RIGHT, in_project=False)
        context = RequestContext(request, server, principal, server.clock.now(), RIGHT)
        with server.db.read() as tx:
            run = run_of(context, tx)
    attempt = _number(request.path_params["n"], "n", 1, 10**6)
    instance = _asked(request, "instance", 0, 0, INSTANCES - 1)
    size = _asked(request, "columns", 80, LEAST, MOST), _asked(request, "rows", 24, LEAST, MOST)
    return context, Target(run, attempt, instance), size


def _asked(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name)
    return default if text is None else _number(text, name, least, most)


def _number(text: str, name: str, least: int, most: int) -> int:
    found = whole_number(text)
    if found is None or not least <= found <= most:
        raise InvalidValue(name, f"{name} must be a number from {least} to {most}.")
    return found
