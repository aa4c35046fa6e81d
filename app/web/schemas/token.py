"""API tokens as they are asked for and shown."""

from __future__ import annotations

from pydantic import Field

from app.domain.principals import Role
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import Name, Time


class TokenForm(Model):
    """A token for all projects, or for one."""

    model_config = with_example({"name": "ci", "role": "operator", "project": "acme"})

    name: Name
    role: Role = Role.VIEWER
    project: Name | None = None
    expires_at: Time | None = None


class TokenAnswer(Model):
    id: int
    name: str
    role: Role
    project: str | None
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None


class NewTokenAnswer(TokenAnswer):
    token: str = Field(repr=False, description="shown this once")
