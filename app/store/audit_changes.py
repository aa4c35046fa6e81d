"""What a transaction changes of the things that people know, as the audit log tells it: without any secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import inspect, select
from sqlmodel import SQLModel

from app.domain.audit import changes_between
from app.domain.documents import Json
from app.domain.flow_codec import shown_steps, steps_from_json, steps_to_json
from app.domain.job.codec import env_to_json, job_to_json, run_to_json, shown_env, shown_job
from app.domain.job.spec import Hardening, JobSpec, Network
from app.domain.job.variables import Env
from app.store.database import Tx
from app.store.schema import (
    AppRow,
    BuildRow,
    CredentialRow,
    DeploymentRow,
    FlowRow,
    FlowRunRow,
    GithubAppRow,
    GrantRow,
    JobRow,
    NotificationTargetRow,
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
    ProjectRow: Watched(
        "project",
        ("name", "limits", "hardening", "public", "commit_statuses", "generic_webhook"),
        ("webhook_secret",),
    ),
    CredentialRow: Watched(
        "credential", ("kind", "host", "username", "api_url", "forge", "public_key", "host_keys"), ("secret",)
    ),
    GithubAppRow: Watched("credential", ("app_id",), ("webhook_secret",)),
    SecretGroupRow: Watched("secret_group", ("priority",)),
    NotificationTargetRow: Watched(
        "notification_target", ("kind", "rules", "absence_hours"), ("address", "jobs")
    ),
    SourceRow: Watched(
        "build_service",
        ("url", "branch", "ci_enabled", "builds_in_flight", "credential_id", "config_file"),
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
    GrantRow: Watched("grant", ("role",)),
    TokenRow: Watched("token", ("scopes", "project_id", "expires_at")),
}
# Columns with the id of something that has a name: what they are called, and whose name is told.
NAMED_BY: Mapping[str, tuple[str, type[SQLModel]]] = {
    "project_id": ("project", ProjectRow),
    "credential_id": ("credential", CredentialRow),
    "push_job_id": ("on_push", JobRow),
}
UNTOLD: tuple[Any, ...] = (None, False, "", [], {})  # of what is made or removed: as good as nothing


def type_of(row: object) -> str | None:
    """What the row is called in the audit log; None if it is not told of."""
    watched = WATCHED.get(type(row)) if isinstance(row, SQLModel) else None
    return None if watched is None else watched.type


def changes_of(tx: Tx, row: SQLModel, *, made: bool, gone: bool) -> Json:
    """What changes in a watched row, by field. Of what is made or removed it is what that is, but for the defaults."""
    watched = WATCHED[type(row)]
    found: Json = {}
    for name, before, after in _columns(row, made=made, gone=gone):
        found |= _change(tx, watched, name, before, after)
    if isinstance(row, RunRow):
        return _overrides(row) if made else {}
    if isinstance(row, GrantRow):
        where = "all projects" if row.project_id is None else _name(tx, ProjectRow, row.project_id)
        return {f"{name} in {where}": change for name, change in found.items()}
    return found


def _columns(row: SQLModel, *, made: bool, gone: bool) -> Iterator[tuple[str, Any, Any]]:
    for attribute in inspect(row).attrs:
        if gone:
            yield attribute.key, attribute.loaded_value, None
        elif made:
            yield attribute.key, None, attribute.loaded_value
        elif attribute.history.has_changes() and attribute.history.deleted:
            yield attribute.key, attribute.history.deleted[0], attribute.loaded_value


def _change(tx: Tx, watched: Watched, name: str, before: Any, after: Any) -> Json:
    if name in watched.hidden:
        return {name: {"changed": True}} if before != after and (before or after) else {}
    if name in watched.shown:
        called, old, new = name, _plain(name, before), _plain(name, after)
        if name in NAMED_BY:
            called, of = NAMED_BY[name]
            old, new = (None if each is None else _name(tx, of, each) for each in (old, new))
        return changes_between({called: old}, {called: new}, {called: old}, {called: new})
    stored, shown = DOCUMENTS.get((watched.type, name), (None, None))
    if stored is None or shown is None or before == after:
        return {}
    old, new = ({} if each is None else stored(each) for each in (before, after))
    may_show = [{} if each is None else shown(each) for each in (before, after)]
    told = changes_between(old, new, *may_show)
    if before is not None and after is not None:
        return told
    usual = changes_between({}, stored(JobSpec("")), {}, stored(JobSpec(""))) if watched.type == "job" else {}
    return {path: change for path, change in told.items() if not _is_usual(change, usual.get(path))}


def _is_usual(change: Json, usual: Json | None) -> bool:
    """Whether something has a value from its beginning to its end that it needs not be told of."""
    if "changed" in change:
        return False
    value = change["from"] if change["to"] is None else change["to"]
    return value in UNTOLD or (usual is not None and value == usual["to"])


def _overrides(run: RunRow) -> Json:
    """What a run has otherwise than its job, as who asked for it gave it."""
    image = {"image": run.reference or run.image, "build": run.build_id, "sha": run.sha}
    stored, shown = run_to_json(run.effective) | image, {**run_to_json(run.effective), **image}
    shown["env"] = shown_env(run.effective.env)
    told = changes_between({}, stored, {}, shown)
    return {
        path: change
        for path, change in told.items()
        if any(path == name or path.startswith(f"{name}.") for name in run.overridden)
    }


def _group(env: Env) -> Json:
    return {"env": env_to_json(env)}


def _shown_group(env: Env) -> Json:
    return {"env": shown_env(env)}


def _steps(definition: Json) -> Json:
    return _by_name(steps_to_json(steps_from_json(definition["nodes"])))


def _shown_steps(definition: Json) -> Json:
    return _by_name(shown_steps(steps_from_json(definition["nodes"])))


def _by_name(documents: list[Json]) -> Json:
    """By the names of nodes, so that one that was put in changes nothing of the others."""
    nodes = [node for each in documents for node in each.get("parallel", [each])]
    order = [
        [node["name"] for node in each["parallel"]] if "parallel" in each else each["name"]
        for each in documents
    ]
    return {"order": order, "nodes": {node["name"]: node for node in nodes}}


# Columns that hold a document: how it is stored, and how it is shown.
DOCUMENTS: Mapping[tuple[str, str], tuple[Callable[[Any], Json], Callable[[Any], Json]]] = {
    ("job", "definition"): (job_to_json, shown_job),
    ("secret_group", "env"): (_group, _shown_group),
    ("flow", "definition"): (_steps, _shown_steps),
}


def _name(tx: Tx, of: type[SQLModel], id_: int) -> str:
    """What is called so by its id; asked of the connection, as the session is in the middle of a flush."""
    table = of.__table__  # type: ignore[attr-defined]
    name = tx.connection().execute(select(table.c.name).where(table.c.id == id_)).scalar()
    return str(id_) if name is None else str(name)


def _plain(name: str, value: Any) -> Any:
    if name == "hardening" and value is None:
        return {**asdict(Hardening()), "network": Network.DEFAULT.value}
    return value.isoformat() if isinstance(value, datetime) else value
