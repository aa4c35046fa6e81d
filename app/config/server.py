"""How the server is reached, and how it logs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.config.group import Group
from app.domain.public_url import read_public_url


def _address(value: str | None) -> str | None:
    return read_public_url(value) if value else None


class ServerSettings(Group):
    public_url: Annotated[str | None, AfterValidator(_address)] = Field(
        default=None,
        description="for links and webhook set-up; if unset, http://host:port, on pages what the reader asked for",
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="the server's own log: text, or json, an object a line"
    )
