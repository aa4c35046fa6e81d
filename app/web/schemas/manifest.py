"""What a GitHub App is made of by its manifest, as a form says it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from app.web.schemas.base import Model
from app.web.schemas.credential import Host
from app.web.schemas.fields import Name
from app.web.schemas.github_app import ApiUrl


def _organization(value: str) -> str:
    if value and not (value.isascii() and value.replace("-", "").isalnum()):
        raise ValueError("must be an organization's name as in its address, such as acme")
    return value


class ManifestForm(Model):
    name: Name
    host: Host = "github.com"
    api_url: ApiUrl = ""
    organization: Annotated[str, Field(max_length=100), AfterValidator(_organization)] = ""
