"""Decisions as they are shown."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.domain.decisions import Decision, EventType, Verdict
from app.web.schemas.base import Model
from app.web.schemas.fields import Time


class EventAnswer(Model):
    type: EventType
    id: str


class DecisionAnswer(Model):
    id: int
    at: Time
    event: EventAnswer
    project: str
    job: str | None
    verdict: Verdict
    rule: str
    sentence: str
    inputs: dict[str, Any] = Field(description="what it was judged on")
    build: int | None
    run: int | None
    deployment: int | None


def decision_answer(decision: Decision) -> DecisionAnswer:
    return DecisionAnswer(
        id=decision.id,
        at=decision.at,
        event=EventAnswer(type=decision.event_type, id=decision.event_id),
        project=decision.project,
        job=decision.job,
        verdict=decision.verdict,
        rule=decision.rule,
        sentence=decision.sentence,
        inputs=dict(decision.inputs),
        build=decision.build_id,
        run=decision.run_id,
        deployment=decision.deployment_id,
    )
