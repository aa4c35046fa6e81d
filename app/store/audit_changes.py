"""What a transaction changes of the things that people know, as the audit log tells it: without any secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import inspect
from sqlmodel import SQLModel

from app.domain.audit import changes_between
from app.domain.documents import Json
from app.domain.flow_codec import shown_steps, steps_from_json, steps_to_json
from app.domain.flow_nodes import Steps
from app.domain.job.codec import env_to_json, job_to_json, shown_env, shown_job
from app.domain.job.spec import JobSpec
from app.store.schema import (
    AppRow,
    BuildRow,
    CredentialRow,
    DeploymentRow,
    FlowRow,
    FlowRunRow,
    GrantRow,
    JobRow,
    PipelineRow,
    ProjectRow,
    PromotionRow,
    RunRow,
    SecretGroupRow,
    SourceRow,
    TokenRow,
    UserRow,
)


@dataclass(frozen=True)
class Watched:
    """A table: what its rows are called, the columns that are shown, and those of which a change alone is told."""

    type: str
    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


WATCHED: Mapping[type[SQLModel], Watched] = {
    ProjectRow: Watched("project", ("name", "limits", "hardening"), ("webhook_secret",)),
    CredentialRow: Watched("credential", ("kind", "host", "username"), ("secret",)),
    SecretGroupRow: Watched("secret_group", ("priority",)),
    SourceRow: Watched(
        "build_service",
        ("url", "branch", "ci_enabled", "builds_in_flight", "credential_id"),
        ("webhook_secret", "build"),
    ),
    JobRow: Watched("job", ("deployed",)),
    BuildRow: Watched("build"),
    RunRow: Watched("run"),
    AppRow: Watched("app", ("held_by",)),
    DeploymentRow: Watched("deployment"),
    PipelineRow: Watched("pipeline"),
    PromotionRow: Watched("promotion"),
    FlowRow: Watched("flow", ("concurrency", "push_job_id"), ("trigger_hash",)),
    FlowRunRow: Watched("flow_run"),
    UserRow: Watched("user", ("name", "email", "disabled_at", "subject"), ("password_hash",)),
    GrantRow: Watched("grant", ("role", "project_id")),
    TokenRow: Watched("token", ("scopes", "project_id", "expires_at")),
}
TELL_WHEN_MADE = {"grant", "token", "credential", "user"}  # what they begin with says what somebody may do


def type_of(row: object) -> str | None:
    """What the row is called in the audit log; None if it is not told of."""
    watched = WATCHED.get(type(row)) if isinstance(row, SQLModel) else None
    return None if watched is None else watched.type


def changes_of(row: SQLModel, *, made: bool, gone: bool) -> Json:
    """What is about to change in a watched row, by column."""
    watched = WATCHED[type(row)]
    if (made or gone) and watched.type not in TELL_WHEN_MADE:
        return {}
    found: Json = {}
    for name, before, after in _columns(row, made=made, gone=gone):
        found |= _change(watched, name, before, after)
    return found


def _columns(row: SQLModel, *, made: bool, gone: bool) -> Iterator[tuple[str, Any, Any]]:
    for attribute in inspect(row).attrs:
        if gone:
            yield attribute.key, attribute.loaded_value, None
        elif made:
            yield attribute.key, None, attribute.loaded_value
        elif attribute.history.has_changes() and attribute.history.deleted:
            yield attribute.key, attribute.history.deleted[0], attribute.loaded_value


def _change(watched: Watched, name: str, before: Any, after: Any) -> Json:
    if name in watched.hidden:
        return {name: {"changed": True}} if before != after and (before or after) else {}
    if name in watched.shown:
        old, new = {name: _plain(before)}, {name: _plain(after)}
        return changes_between(old, new, old, new)
    if isinstance(before, JobSpec) and isinstance(after, JobSpec):
        return changes_between(job_to_json(before), job_to_json(after), shown_job(before), shown_job(after))
    if watched.type == "secret_group" and name == "env" and before is not None and after is not None:
        shown = shown_env(before), shown_env(after)
        return changes_between(
            {"env": env_to_json(before)}, {"env": env_to_json(after)}, {"env": shown[0]}, {"env": shown[1]}
        )
    if watched.type == "flow" and name == "definition" and before and after:
        return _of_steps(steps_from_json(before["nodes"]), steps_from_json(after["nodes"]))
    return {}


def _of_steps(before: Steps, after: Steps) -> Json:
    """By the names of nodes, so that one that was put in changes nothing of the others."""
    stored = [_by_name(steps_to_json(steps)) for steps in (before, after)]
    shown = [_by_name(shown_steps(steps)) for steps in (before, after)]
    return changes_between(stored[0], stored[1], shown[0], shown[1])


def _by_name(documents: list[Json]) -> Json:
    nodes = [node for each in documents for node in each.get("parallel", [each])]
    order = [
        [node["name"] for node in each["parallel"]] if "parallel" in each else each["name"]
        for each in documents
    ]
    return {"order": order, "nodes": {node["name"]: node for node in nodes}}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
