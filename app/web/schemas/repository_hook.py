"""Webhooks at the forges of a project's repositories, as they are shown."""

from __future__ import annotations

from pydantic import Field

from app.store import projects, refused_calls, repository_hooks
from app.store.database import Tx
from app.store.deliveries import rejected
from app.store.inbox import Inbox
from app.store.repository_hooks import LastCalls
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import Time


class HooksForm(Model):
    """What to do at the forges of the project's repositories."""

    model_config = with_example({"register": True})

    register_: bool = Field(
        default=True,
        alias="register",
        description="make the webhooks, or have those there lead here with the project's secret; false only looks",
    )


class HookAnswer(Model):
    repository: str = Field(description="host and path")
    address: str | None = Field(description="where the webhook leads; null where none is known")
    problem: str = Field(description="what is wrong with it, or why that is not known; empty if all is well")
    said: str = Field(description="what the forge tells of the webhook's last delivery")
    checked_at: Time | None = Field(description="when the forge was asked last")
    last_push_at: Time | None = Field(
        description="when the forge told of a push last, of the newest 1,000 calls"
    )
    last_push_status: str = Field(description="what became of that delivery")
    last_ping_at: Time | None
    refused_calls: int = Field(
        description="calls about it whose signature was wrong, since its secret was set; forgotten after 7 quiet days"
    )
    refused_since: Time | None = Field(description="when the first of those came")
    refused_last_at: Time | None = Field(description="when the last of those came")


class UnknownAnswer(Model):
    name: str
    calls: int
    last_at: Time


class HooksAnswer(Model):
    """One for each repository of the project's sources."""

    items: list[HookAnswer]
    unknown: list[UnknownAnswer] = Field(
        description="repositories whose calls have the right secret, but that no source has: renamed or transferred?"
    )
    rejected_calls: int = Field(description="calls to this server whose signature was wrong, of any project")


def hooks_answer(tx: Tx, inbox: Inbox, project_id: int) -> HooksAnswer:
    repositories = repository_hooks.repositories(tx, project_id)
    known = repository_hooks.of_project(tx, project_id)
    calls = repository_hooks.last_calls(tx, [key for key, _ in repositories])
    refused = refused_calls.of_project(tx, project_id)
    items = []
    for key, _ in repositories:
        hook, last, wrong = known.get(key), calls.get(key, LastCalls()), refused.get(key)
        items.append(
            HookAnswer(
                repository=key,
                address=hook.address or None if hook else None,
                problem=hook.problem if hook else "",
                said=hook.said if hook else "",
                checked_at=hook.checked_at if hook else None,
                last_push_at=last.push_at,
                last_push_status=last.push_status,
                last_ping_at=last.ping_at,
                refused_calls=wrong.calls if wrong else 0,
                refused_since=wrong.since if wrong else None,
                refused_last_at=wrong.last_at if wrong else None,
            )
        )
    unknown = [
        UnknownAnswer(name=each.name, calls=each.calls, last_at=each.last_at)
        for each in projects.unknown_repositories(tx, project_id)
    ]
    return HooksAnswer(items=items, unknown=unknown, rejected_calls=rejected(tx) + inbox.rejected)
