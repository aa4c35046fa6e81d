"""A file of configuration as it is applied, and what became of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import Name
from app.web.schemas.plan import FieldChangeAnswer

EXAMPLE = {
    "documents": [{"project": "acme", "jobs": [{"name": "report", "retry_limit": 2}]}],
    "dry_run": True,
}


class ApplyForm(Model):
    """Documents as a file has them: each with its `project`, `settings` and sections such as `jobs`, or one job."""

    model_config = with_example(EXAMPLE)

    documents: list[dict[str, Any]] = Field(max_length=1000)
    project: Name | None = Field(default=None, description="whose things are that name no project")
    dry_run: bool = Field(
        default=False, description="check everything, say what would change, and save nothing"
    )
    prune: bool = Field(
        default=False, description="delete what a section that a project has in the file leaves out"
    )
    confirm: list[str] = Field(
        default=[], max_length=10_000, description="what is deleted by that, as the dry run calls it"
    )


class ChangeAnswer(Model):
    """What became of a thing. `label` is what `confirm` calls it."""

    label: str
    kind: str = Field(description="project, job, build service, …")
    project: str
    name: str
    what: Literal["created", "changed", "unchanged", "deleted"]
    fields: list[FieldChangeAnswer]
    warnings: list[str] = Field(description="what will not work as it is")


class ApplyAnswer(Model):
    sentence: str
    items: list[ChangeAnswer]


class ExportQuery(Model):
    project: Name | None = Field(default=None, description="only this one")
