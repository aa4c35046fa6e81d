"""Rows of builds as the domain's values."""

from __future__ import annotations

from typing import Any

from sqlmodel import col, select

from app.domain.build_parts import BuildPhase, plan_from_json, step_from_json, trigger_from_json
from app.domain.builds import Build, BuildReason, BuildStatus
from app.store.schema import BuildRow, ProjectRow
from app.store.schema.specs import decoded


def builds_query() -> Any:
    return select(BuildRow, ProjectRow.name).join(ProjectRow, col(ProjectRow.id) == col(BuildRow.project_id))


def build_value(row: BuildRow, project: str) -> Build:
    return Build(
        id=row.id,
        project_id=row.project_id,
        project=project,
        key=row.key,
        url=row.url,
        ref=row.ref,
        sha=row.sha,
        status=BuildStatus(row.status),
        trigger=trigger_from_json(row.trigger),
        config=decoded(row.config),
        created_at=row.created_at,
        reason=BuildReason(row.reason) if row.reason else None,
        sentence=row.sentence,
        plan=None if row.plan is None else plan_from_json(row.plan),
        dockerfile=row.dockerfile,
        steps=tuple(step_from_json(step) for step in row.steps or ()),
        phases=tuple(BuildPhase(*phase) for phase in row.phases or ()),
        image=row.image,
        digest=row.digest,
        position=row.position,
        on_branch=row.on_branch,
        contained_in=tuple(row.contained_in or ()),
        credential_id=row.credential_id,
        env=decoded(row.env),
        message=row.message,
        author=row.author,
        started_at=row.started_at,
        finished_at=row.finished_at,
        available_at=row.available_at,
        cancel_requested_at=row.cancel_requested_at,
        token=row.token,
        tries=row.tries,
        unanswered_since=row.unanswered_since,
        crashes=row.deaths,
        rebuild_of=row.rebuild_of,
    )
