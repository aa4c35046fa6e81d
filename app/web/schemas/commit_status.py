"""Statuses of commits at their forges, as they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from app.domain.commit_statuses import StatusState
from app.store.commit_statuses import Status
from app.web.schemas.base import Model
from app.web.schemas.fields import Time

Posting = Literal["posted", "waiting", "given_up"]


class CommitStatusAnswer(Model):
    context: str = Field(description="what the forge calls it, such as `jobyard/report`")
    sha: str
    state: StatusState | None = Field(description="null until it is known what to say")
    description: str
    posting: Posting = Field(description="whether the forge has it: what is given up is not tried any more")
    posted_at: Time | None = Field(description="when one was posted last, be it of an earlier state")
    said: str = Field(description="what came of the last try, empty if there is nothing to tell")
    build: int | None
    run: int | None


def posting_of(status: Status) -> Posting:
    if status.is_given_up:
        return "given_up"
    return "posted" if status.version and status.posted_version == status.version else "waiting"


def commit_status_answers(found: Sequence[Status]) -> list[CommitStatusAnswer]:
    return [
        CommitStatusAnswer(
            context=each.context,
            sha=each.sha,
            state=each.told.state if each.told else None,
            description=each.told.sentence if each.told else "",
            posting=posting_of(each),
            posted_at=each.posted_at,
            said=each.said,
            build=each.build_id,
            run=each.run_id,
        )
        for each in found
    ]
