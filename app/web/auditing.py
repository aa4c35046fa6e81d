"""Every request that may change something leaves an entry in the audit log: of the change, or of its refusal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request

from app.domain.audit import Action, Entry, Kind, Subject, actor_of
from app.domain.principals import Principal
from app.runtime import request_id
from app.store.audit_recorder import AuditRecorder, found
from app.store.database import recorded_by
from app.web.numbers import whole_number
from app.web.problems import Problem
from app.web.server_context import server_of

PATH_SHOWN = 200  # characters
TYPES = {
    "Project": "project",
    "Job": "job",
    "App": "app",
    "Pipeline": "pipeline",
    "Flow": "flow",
    "Build": "build",
    "Deployment": "deployment",
    "FlowRun": "flow_run",
    "Run": "run",
    "Credential": "credential",
    "SecretGroup": "secret_group",
    "BuildService": "build_service",
    "Target": "notification_target",
    "Delivery": "delivery",
}


@contextmanager
def audited(
    request: Request, principal: Principal | None, action: Action | None, otherwise: Kind = Kind.NOBODY
) -> Iterator[None]:
    """Leave one entry for what the block changes, in the transaction that changes it; one for a refusal by 403.

    `otherwise` is what somebody without account or token came as.
    """
    if action is None:
        yield
        return
    server = server_of(request)
    actor = actor_of(principal, from_address(request), otherwise)
    path_id = request.path_params.get("id") or request.path_params.get("user")
    recorder = AuditRecorder(
        action,
        actor,
        server.clock.now(),
        request_id.current(),
        whole_number(str(path_id)) if path_id else None,
    )
    try:
        with recorded_by(recorder):
            yield
    except Problem as problem:
        if problem.status == 403 and principal is not None:
            why = f"{problem.detail} ({request.method} {request.url.path[:PATH_SHOWN]})"
            refuse(request, principal, action, why, about=recorder.subject)
        raise


def refuse(
    request: Request,
    principal: Principal | None,
    action: Action,
    why: str,
    otherwise: Kind = Kind.NOBODY,
    about: Subject | None = None,
) -> None:
    """Leave an entry of a refusal, or count it, where there were many."""
    server = server_of(request)
    entry = Entry(
        at=server.clock.now(),
        actor=actor_of(principal, from_address(request), otherwise),
        action=action,
        subject=about or Subject(action.type),
        detail=why,
        request_id=request_id.current(),
    )
    server.desk.refusals.add(server.db, entry)


def from_address(request: Request) -> str:
    """Where the request is from, as far as a proxy in front is trusted."""
    return request.client.host if request.client else "unknown"


def tell_found(thing: Any) -> None:
    """Remember what the request names, in case that it changes it."""
    kind = TYPES.get(type(thing).__name__)
    if kind is None:
        return
    id_ = getattr(thing, "id", None)
    name = str(getattr(thing, "name", None) or getattr(thing, "guid", None) or id_)
    project_id = id_ if kind == "project" else getattr(thing, "project_id", None)
    found(Subject(kind, id_, name, project_id, name if kind == "project" else ""))
