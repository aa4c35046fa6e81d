"""API tokens as they are asked for and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from app.commands.tokens import LASTS
from app.domain.errors import require_consistent
from app.domain.principals import SCOPES_OF, Role, Scope
from app.web.schemas.base import Model, one_of, with_example
from app.web.schemas.fields import Name, Time


class TokenForm(Model):
    """A token for all projects, or for one: with scopes, or with those of a role (`viewer` if neither is given)."""

    model_config = with_example(
        {"name": "ci", "scopes": ["read", "run"], "project": "acme"},
        one_of("scopes", "role", at_most=True),
    )

    name: Name
    scopes: Annotated[list[Scope], Field(json_schema_extra={"minItems": 1})] | None = Field(
        default=None, description="each by itself; admin is everything"
    )
    role: Role | None = Field(default=None, description="stands for its scopes")
    project: Name | None = None
    expires_at: Time | None = Field(default=None, description="in a year if left out; null: never")

    def wanted_scopes(self) -> list[Scope]:
        """Raises Contradictions where both scopes and a role are given."""
        both = self.scopes is not None and self.role is not None
        require_consistent([("role", "can't be given together with scopes")] if both else [])
        return list(SCOPES_OF[self.role or Role.VIEWER]) if self.scopes is None else self.scopes

    def wanted_end(self, now: datetime) -> datetime | None:
        return self.expires_at if "expires_at" in self.model_fields_set else now + LASTS


class TokenAnswer(Model):
    id: int
    name: str
    scopes: list[Scope]
    role: Role | None = Field(description="that has these scopes, if one has")
    project: str | None
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None


class NewTokenAnswer(TokenAnswer):
    token: str = Field(repr=False, description="shown this once")
