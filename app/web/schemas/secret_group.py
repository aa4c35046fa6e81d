"""Secret groups as they are given and shown."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, RootModel

from app.commands.secret_groups import SecretGroupDraft
from app.domain.job.codec import shown_env
from app.store.secret_groups import SecretGroup
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import Name, Time
from app.web.schemas.variables import AnyEnvForm, Variables, env_drafts

EXAMPLE = {"name": "mail", "priority": 10, "env": {"SMTP_PASSWORD": {"value": "…", "secret": True}}}


class SecretGroupForm(Model):
    """Variables for all of `jobs`; a job's own win over them, and a greater `priority` over a smaller."""

    model_config = with_example(EXAMPLE)

    name: Name
    priority: int = Field(default=0, ge=-1000, le=1000)
    env: Variables = Field(default={})
    jobs: list[Name] = Field(default=[], max_length=1000)

    def draft(self) -> SecretGroupDraft:
        return SecretGroupDraft(self.name, self.priority, env_drafts(self.env), tuple(self.jobs))


class SecretGroupPatch(RootModel[dict[str, Any]]):
    """Any fields of a group but its name. In `env`, null deletes a variable; `jobs` is replaced as a whole."""

    model_config = with_example({"priority": 20, "env": {"SMTP_HOST": "mail.example.com"}})


class SecretGroupAnswer(SecretGroupForm):
    """A group as stored. Secret values are null."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    env: dict[str, str | AnyEnvForm]  # type: ignore[assignment]  # read as one form, shown as it is stored
    id: int
    created_at: Time
    warnings: list[str] = Field(description="what will not work as it is")


READ_ONLY = frozenset(SecretGroupAnswer.model_fields) - frozenset(SecretGroupForm.model_fields)


def shown_group(group: SecretGroup) -> dict[str, Any]:
    """What is stored as it could be given again: secrets are there, without their values."""
    return {
        "name": group.name,
        "priority": group.priority,
        "env": shown_env(group.env),
        "jobs": list(group.jobs),
    }
