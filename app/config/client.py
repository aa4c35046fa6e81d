"""What the commands need to speak with a server."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from app.config.group import Group


def _web_address(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("it must begin with http:// or https://")
    return value.rstrip("/")


def _sendable(value: SecretStr | None) -> SecretStr | None:
    text = "" if value is None else value.get_secret_value()
    if not text.isascii() or not text.isprintable():
        raise ValueError("a token has only printable ASCII characters")
    return value if text else None


class ClientSettings(Group):
    model_config = SettingsConfigDict(hide_input_in_errors=True)

    url: Annotated[str, AfterValidator(_web_address)] = Field(
        default="http://127.0.0.1:8080", description="the server that commands speak with"
    )
    token: Annotated[SecretStr | None, AfterValidator(_sendable)] = Field(
        default=None, description="the API token that commands send"
    )
    project: str | None = Field(default=None, description="where commands look for jobs named without one")
