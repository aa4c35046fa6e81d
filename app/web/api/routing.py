"""From operations to routes: who may, what was sent, and every error as a problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic_core import to_jsonable_python
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.commands.tokens import digest
from app.domain.audit import Action, Subject
from app.domain.principals import Principal
from app.store import tokens
from app.web.api.operations import PREFIX, Answer, ApiContext, Operation
from app.web.auditing import PATH_SHOWN, audited, refuse
from app.web.bodies import read_at_most
from app.web.principal import identify
from app.web.problems import Problem, problem_of, problem_response
from app.web.reading import BODY_LIMIT, read_model, read_query
from app.web.request_context import refuse_other_sites, require_admission
from app.web.server_context import server_of

UNKNOWN = "There is no such API token, or it was revoked."
EXPIRED = "The API token has expired."
WITH_BODY = ("POST", "PATCH")


def routes_of(operations: Sequence[Operation]) -> list[Route]:
    """One route per path, so that a wrong method answers 405 with what is allowed."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [
        Route(PREFIX + path, _endpoint(methods), methods=list(methods)) for path, methods in by_path.items()
    ]


def _endpoint(methods: Mapping[str, Operation]) -> Callable[[Request], Any]:
    actions = {method: operation.action for method, operation in methods.items()}

    async def endpoint(request: Request) -> Response:
        operation = methods["GET" if request.method == "HEAD" else request.method]
        try:
            action = actions[operation.method]
            principal = await run_in_threadpool(_admit, operation, action, request)
            body = await read_at_most(request, BODY_LIMIT) if operation.method in WITH_BODY else b""
            return await run_in_threadpool(_answer, operation, action, request, principal, body)
        except Exception as error:
            return problem_response(problem_of(error))

    return endpoint


def _admit(operation: Operation, action: Action | None, request: Request) -> Principal:
    principal = identify(request)
    if principal is None:
        tell_of_token(request)
        raise Problem(401, "This needs an API token: send Authorization: Bearer TOKEN.")
    with audited(request, principal, action):
        if principal.is_browser and operation.method != "GET":
            refuse_other_sites(request)
        require_admission(principal, operation.right, in_project="{p}" in operation.path)
    return principal


def tell_of_token(request: Request) -> None:
    """Leave an entry of a token that lets nobody in, if one was sent: bounded, as anybody may send any."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return
    server = server_of(request)
    with server.db.read() as tx:
        over = tokens.expired(tx, digest(secret.strip()), server.clock.now())
    subject = Subject("token") if over is None else Subject("token", over.id, over.name, over.project_id)
    why = UNKNOWN if over is None else EXPIRED
    where = f"({request.method} {request.url.path[:PATH_SHOWN]})"
    refuse(request, None, Action.TOKEN_USE, f"{why} {where}", about=subject)


def _answer(
    operation: Operation, action: Action | None, request: Request, principal: Principal, body: bytes
) -> Response:
    server = server_of(request)
    if operation.makes_something:
        server.disk.require_room()
    ctx: ApiContext[Any, Any] = ApiContext(
        request=request,
        server=server,
        principal=principal,
        now=server.clock.now(),
        right=operation.right,
        body=read_model(operation.body, body, server),
        query=read_query(operation.query, request.query_params.multi_items()),
    )
    with audited(request, principal, action):
        result = operation.handler(ctx)
    if isinstance(result, Response):
        return result
    status = result.status if isinstance(result, Answer) else operation.status
    value = result.value if isinstance(result, Answer) else result
    if status == 204:
        return Response(status_code=204)
    return JSONResponse(to_jsonable_python(value), status)
