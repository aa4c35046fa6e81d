"""Build services: a repository, branch and build settings that several jobs share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, RootModel

from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import Name, Time
from app.web.schemas.job import BuildForm, GitAnswer, GitForm

EXAMPLE = {
    "name": "reports",
    "git": {"url": "https://github.com/acme/reports", "webhook_secret": "a long random text"},
    "builds_in_flight": "latest",
}


class BuildServiceForm(Model):
    """Makes an image of each push, for any number of jobs; `latest` gives up queued builds for a newer push."""

    model_config = with_example(EXAMPLE)

    name: Name
    git: GitForm
    build: BuildForm = Field(default_factory=BuildForm)
    ci_enabled: bool = True
    builds_in_flight: Literal["all", "latest"] = "all"
    config_file: bool = Field(
        default=False,
        description="each push to the branch makes its jobs as jobyard.yaml at its root declares them",
    )


class BuildServicePatch(RootModel[dict[str, Any]]):
    """Any fields of a build service but its name. Objects are merged field by field."""

    model_config = with_example({"builds_in_flight": "all", "build": {"paths": ["docs/"]}})


class BuildServiceAnswer(BuildServiceForm):
    """A build service as stored; `jobs` are those built from it."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    id: int
    project: str
    git: GitAnswer
    jobs: list[str]
    created_at: Time


READ_ONLY = frozenset(BuildServiceAnswer.model_fields) - frozenset(BuildServiceForm.model_fields)
