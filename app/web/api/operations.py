"""What an API operation is: one declaration gives the route, the validation, the access rule and the OpenAPI entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from app.domain.principals import Principal, Role
from app.web.problems import Problem
from app.web.request_context import RequestContext, lacks_role
from app.web.schemas.base import Empty

PREFIX = "/api/v1"
B = TypeVar("B", bound=BaseModel)
Q = TypeVar("Q", bound=BaseModel)


@dataclass(frozen=True)
class ApiContext(RequestContext, Generic[B, Q]):
    """A request to the API, with its body and its query as the operation declares them."""

    principal: Principal
    body: B
    query: Q

    def require(self, role: Role, project_id: int | None = None) -> None:
        """Raises 403 unless the caller has the role for this project, or (None) for the whole installation."""
        if self.principal.may(role, project_id):
            return
        if project_id is None and self.principal.project_id is not None:
            raise Problem(403, f"This is not for {self.who}, whose token is limited to one project.")
        raise Problem(403, lacks_role(self.principal, role))


@dataclass(frozen=True)
class Answer:
    """An answer with another status than the operation's own."""

    value: Any
    status: int


Handler = Callable[[Any], Any]


@dataclass(frozen=True)
class Operation:
    """A method and path under `/api/v1`. `handler` runs in a thread, takes a `Call` and returns what is sent as JSON.

    `role` is what the caller needs at least; handlers find a project's things through `scope`, which checks the
    rest. An `idempotent` POST answers a repeated `Idempotency-Key` with its first answer.
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
    idempotent: bool = False
    media_types: tuple[str, ...] = ("application/json",)

    @property
    def makes_something(self) -> bool:
        """Not what ends, changes or removes something, which may make room."""
        return self.method == "POST" and (self.status == 201 or self.idempotent)
