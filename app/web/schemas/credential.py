"""Credentials as they are given and shown. What is secret goes in and never comes out."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.commands.credentials import (
    CredentialChange,
    CredentialDraft,
)
from app.domain import limits
from app.domain.hosts import is_refused_host
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import LINK_LOCAL, Name, Time

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?")


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host such as github.com or registry.example.com:5000")
    if is_refused_host(value):
        raise ValueError(f"must not be {value}, {LINK_LOCAL}")
    return value


Host = Annotated[str, AfterValidator(_host)]


class CredentialForm(Model):
    """A user and password or token. It is sent to `host` alone."""

    model_config = with_example({"name": "github", "kind": "git", "host": "github.com", "secret": "a token"})

    name: Name
    kind: Literal["git", "registry"]
    host: Host = Field(description="with its port, if that is not the usual one; without, for all its ports")
    username: str = Field(default="", max_length=limits.USERNAME)
    secret: str = Field(min_length=1, max_length=limits.CREDENTIAL, repr=False, description="write-only")

    def draft(self) -> CredentialDraft:
        return CredentialDraft(self.name, self.kind, self.host, self.username, self.secret)


class CredentialPatch(Model):
    """Another user or secret, for all that use it from then on, or the host of one that has none.

    Anything else has to be as it is, or left out.
    """

    model_config = with_example({"secret": "another token"})

    name: Name | None = None
    kind: Literal["git", "registry"] | None = None
    host: Host | None = None
    username: str | None = Field(default=None, max_length=limits.USERNAME)
    secret: str | None = Field(
        default=None,
        min_length=1,
        max_length=limits.CREDENTIAL,
        repr=False,
        description="write-only; left out, it stays",
    )

    def change(self) -> CredentialChange:
        return CredentialChange(self.name, self.kind, self.host, self.username, self.secret)


class CredentialAnswer(Model):
    id: int
    name: str
    kind: Literal["git", "registry"]
    host: str
    username: str
    secret: None = None
    created_at: Time
    warnings: list[str] = Field(description="why it is of no use as it is")
