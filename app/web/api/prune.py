"""What is kept and for how long: what would be removed now, and removing it now."""

from __future__ import annotations

from app.domain.principals import Right
from app.store.audit_recorder import note
from app.web.api.operations import Answer, ApiContext, Operation
from app.web.schemas.base import Empty
from app.web.schemas.prune import PruneAnswer, PruneQuery, prune_answer


def prune(ctx: ApiContext[Empty, PruneQuery]) -> Answer:
    retention, dry_run = ctx.server.retention, ctx.query.dry_run
    plan = retention.plan()
    images = retention.preview_of_images(plan)
    answer = prune_answer(plan, retention.preview(plan), images, retention.limits, dry_run=dry_run)
    if dry_run:
        return Answer(answer, 200)
    note(ctx.server.db)
    retention.ask()
    return Answer(answer, 202)


OPERATIONS = (
    Operation(
        "POST",
        "/prune",
        "Remove what is beyond the limits of retention; with dry_run, only show what would go (200)",
        prune,
        Right.PRUNE,
        query=PruneQuery,
        answer=PruneAnswer,
        status=202,
    ),
)
