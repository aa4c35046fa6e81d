"""What an API operation is: one declaration gives the route, the validation, the access rule and the OpenAPI entry."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.web.principal import Principal, Role, identify
from app.web.problems import Problem, problem_of, problem_response
from app.web.yard import Yard, yard_of

BODY_LIMIT = 1024 * 1024
PREFIX = "/api/v1"


class Model(BaseModel):
    """A request or answer: unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid")


class Empty(Model):
    """No fields."""


class Paging(Model):
    limit: int = Field(50, ge=1, le=100, description="items a page")
    cursor: int | None = Field(None, description="`next` of the page before")


B = TypeVar("B", bound=BaseModel)
Q = TypeVar("Q", bound=BaseModel)
Item = TypeVar("Item")


class Page(Model, Generic[Item]):
    """A list, newest first; `next` is the cursor of the following page, or null on the last."""

    items: list[Item]
    next: int | None = None


@dataclass(frozen=True)
class Call(Generic[B, Q]):
    """One validated request. `path` holds the path's parameters as text."""

    yard: Yard
    principal: Principal
    path: Mapping[str, str]
    body: B
    query: Q
    request: Request

    def require(self, role: Role, project_id: int | None = None) -> None:
        """Raises 403, or 404 for a project out of the token's reach, so that its names don't leak."""
        if self.principal.may(role, project_id):
            return
        if self.principal.project_id is not None and self.principal.project_id != project_id:
            raise Problem(404, "There is no such thing, or not for this token.")
        raise Problem(403, f"This needs the role {role}; {self.principal.name} has {self.principal.role}.")

    @property
    def who(self) -> str:
        return self.principal.name


@dataclass(frozen=True)
class Answer:
    """An answer that is not plainly 200 or the operation's own status."""

    value: Any
    status: int


Handler = Callable[[Any], Any]


@dataclass(frozen=True)
class Operation:
    """A method and path under `/api/v1`. `handler` runs in a thread, takes a `Call` and returns what is sent as JSON.

    `role` is what the caller needs at least; handlers of a single project's things check its id with `call.require`.
    """

    method: str
    path: str
    summary: str
    handler: Handler = field(repr=False)
    role: Role = Role.VIEWER
    body: type[BaseModel] = Empty
    query: type[BaseModel] = Empty
    answer: Any = None
    status: int = 200


def routes_of(operations: Sequence[Operation]) -> list[Route]:
    """One route per path, so that a wrong method answers 405 with what is allowed."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [
        Route(PREFIX + path, _endpoint(methods), methods=list(methods)) for path, methods in by_path.items()
    ]


def _endpoint(methods: Mapping[str, Operation]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        operation = methods["GET" if request.method == "HEAD" else request.method]
        try:
            body = await _read_body(request) if operation.method in ("POST", "PATCH", "PUT") else b""
            return await run_in_threadpool(_answer, operation, request, body)
        except Exception as error:
            return problem_response(problem_of(error))

    return endpoint


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise Problem(413, "The body is over the limit of 1 MiB.")
    return bytes(body)


def _answer(operation: Operation, request: Request, body: bytes) -> Response:
    principal = identify(request)
    if principal is None:
        raise Problem(401, "This needs an API token: send Authorization: Bearer TOKEN.")
    if principal.is_browser and operation.method != "GET":
        _refuse_other_sites(request)
    if not principal.may(operation.role, principal.project_id):
        raise Problem(403, f"This needs the role {operation.role}; {principal.name} has {principal.role}.")
    call: Call[Any, Any] = Call(
        yard=yard_of(request),
        principal=principal,
        path=request.path_params,
        body=operation.body.model_validate(_json(body)),
        query=operation.query.model_validate(dict(request.query_params)),
        request=request,
    )
    result = operation.handler(call)
    if isinstance(result, Response):
        return result
    status = result.status if isinstance(result, Answer) else operation.status
    value = result.value if isinstance(result, Answer) else result
    if status == 204:
        return Response(status_code=204)
    return JSONResponse(value.model_dump(mode="json") if isinstance(value, BaseModel) else value, status)


def _refuse_other_sites(request: Request) -> None:
    """A browser's session counts only for requests that our own pages make."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem(403, "A page of another site asked for this.")


def _json(body: bytes) -> Any:
    if not body:
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "The body is not JSON.") from error
    if not isinstance(value, dict):
        raise Problem(400, "The body must be a JSON object.")
    return value
