"""Decisions with what the forge is told of their commits."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from app.domain.decisions import Decision
from app.store import commit_statuses
from app.store.database import Tx
from app.web.schemas.commit_status import CommitStatusAnswer, commit_status_answers
from app.web.schemas.decision import DecisionAnswer, decision_answer


class ToldDecisionAnswer(DecisionAnswer):
    commit_status: CommitStatusAnswer | None = Field(
        description="what the commit's forge is told since this was decided; null if nothing is, or a later one is"
    )


def told_decision_answers(tx: Tx, found: Sequence[Decision]) -> list[ToldDecisionAnswer]:
    told = commit_statuses.about(tx, decisions=[each.id for each in found])
    by_decision = {
        each.decision_id: answer for each, answer in zip(told, commit_status_answers(told), strict=True)
    }
    return [
        ToldDecisionAnswer(**dict(decision_answer(each)), commit_status=by_decision.get(each.id))
        for each in found
    ]
