"""Entries of the audit log as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.domain.audit import Action, Entry, Kind, Outcome, check_action
from app.domain.documents import Json
from app.store.audit import Wanted
from app.web.request_context import RequestContext
from app.web.schemas.base import Model, Paging
from app.web.schemas.fields import Time

# Each, and the type of thing for all of those.
ACTIONS = sorted({*Action, *(each.partition(".")[0] for each in Action)})


class AuditQuery(Paging):
    who: str | None = Field(default=None, description="the name of a user or token")
    action: Annotated[str, Field(json_schema_extra={"enum": [*ACTIONS]})] | None = Field(
        default=None, description="such as `job.change`, or `job` for all of that type"
    )
    project: str | None = Field(default=None, description="a project's name, also of a removed one")
    about: str | None = Field(
        default=None, description="the name of what it was done to, such as a job or a run"
    )
    since: Time | None = Field(default=None, description="entries from this time on")
    until: Time | None = Field(default=None, description="entries before this time")
    format: Literal["page", "lines"] = Field(
        default="page", description="`lines`: all of it, a line each, as with `Accept: application/x-ndjson`"
    )


class AuditWho(Model):
    name: str
    kind: Kind
    id: int | None = Field(description="of the user or token")
    address: str


class AuditAbout(Model):
    type: str
    id: int | None
    name: str
    project: str | None


class AuditAnswer(Model):
    id: int
    at: datetime
    who: AuditWho
    action: Action
    about: AuditAbout
    changes: Json = Field(description="by field: `from` and `to`; of a secret only that it changed")
    outcome: Outcome
    detail: str = Field(description="why it was refused, or what of it is no field")
    times: int = Field(description="more than one where many refusals became one entry")
    request_id: str


def audit_answer(entry: Entry) -> AuditAnswer:
    actor, subject = entry.actor, entry.subject
    return AuditAnswer(
        id=entry.id,
        at=entry.at,
        who=AuditWho(name=actor.name, kind=actor.kind, id=actor.id, address=actor.address),
        action=entry.action,
        about=AuditAbout(
            type=subject.type, id=subject.id, name=subject.name, project=subject.project or None
        ),
        changes=entry.changes,
        outcome=entry.outcome,
        detail=entry.detail,
        times=entry.times,
        request_id=entry.request_id,
    )


def wanted_of(ctx: RequestContext, query: AuditQuery) -> Wanted:
    """What the query asks for, within what the caller may read."""
    action = query.action and check_action(query.action)
    return Wanted(query.who, action, query.project, query.since, ctx.projects, query.until, query.about)
