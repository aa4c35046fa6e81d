"""Projects as they are given and shown."""

from __future__ import annotations

from pydantic import Field

from app.store.projects import Project
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import Name, Time, WebhookSecret


class ProjectForm(Model):
    """A namespace; its webhook secret speaks for all its repositories."""

    model_config = with_example({"name": "acme", "webhook_secret": "a long random text"})

    name: Name
    webhook_secret: WebhookSecret | None = Field(default=None, repr=False, description="write-only")


class ProjectPatch(Model):
    model_config = with_example({"webhook_secret": "another random text"})

    webhook_secret: WebhookSecret | None = Field(
        default=None, repr=False, description="write-only; left out or null keeps the stored one"
    )


class ProjectAnswer(Model):
    id: int
    name: str
    webhook_secret: None = None
    has_webhook_secret: bool
    created_at: Time


def project_answer(project: Project) -> ProjectAnswer:
    return ProjectAnswer(
        id=project.id,
        name=project.name,
        has_webhook_secret=project.webhook_secret is not None,
        created_at=project.created_at,
    )
