"""What an API operation is: one declaration gives the route, the validation, the access rule and the OpenAPI entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from app.domain.audit import Action
from app.domain.principals import Principal, Right, Role, least_role
from app.web.actions import OF_OPERATIONS
from app.web.request_context import RequestContext
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


@dataclass(frozen=True)
class Answer:
    """An answer with another status than the operation's own."""

    value: Any
    status: int


Handler = Callable[[Any], Any]


@dataclass(frozen=True)
class Operation:
    """A method and path under `/api/v1`. `handler` runs in a thread, takes a `Call` and returns what is sent as JSON.

    `right` is what the caller needs; handlers find a project's things through `scope`, which looks that they have
    it there. An `idempotent` POST answers a repeated `Idempotency-Key` with its first answer.
    """

    method: str
    path: str
    summary: str
    handler: Handler = field(repr=False)
    right: Right = Right.READ
    body: type[BaseModel] = Empty
    query: type[BaseModel] = Empty
    answer: Any = None
    status: int = 200
    idempotent: bool = False
    media_types: tuple[str, ...] = ("application/json",)

    @property
    def action(self) -> Action | None:
        """What the audit log calls it; None for what changes nothing."""
        return None if self.method == "GET" else OF_OPERATIONS[f"{self.method} {self.path}"]

    @property
    def role(self) -> Role:
        """The least role that has the right."""
        return least_role(self.right)

    @property
    def makes_something(self) -> bool:
        """Not what ends, changes or removes something, which may make room."""
        return self.method == "POST" and (self.status == 201 or self.idempotent)
