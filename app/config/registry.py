"""The registry that built images are pushed to."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from app.config.group import Group

_REGISTRY = re.compile(
    r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
)


def _registry(value: str | None) -> str | None:
    if value and not _REGISTRY.fullmatch(value):
        raise ValueError("must be a registry such as registry.example.com:5000/team, without https://")
    return value or None


class RegistrySettings(Group):
    registry: Annotated[str | None, AfterValidator(_registry)] = Field(
        default=None, description="where built images are pushed"
    )
