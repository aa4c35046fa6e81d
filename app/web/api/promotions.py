"""Promotions: what is deployed in a stage goes on to a later one, by digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.commands.promotions import promote_component
from app.domain.principals import Right
from app.store import jobs, pipelines
from app.store.database import Tx
from app.store.pipelines import Promotion
from app.web.api.idempotency import once
from app.web.api.lists import paged
from app.web.api.operations import ApiContext, Operation
from app.web.schemas.base import Empty, Page, Paging
from app.web.schemas.pipeline import PromotionAnswer, PromotionForm, promotion_answer
from app.web.scope import pipeline_of


def list_promotions(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        pipeline = pipeline_of(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: pipelines.promotions(tx, pipeline.id, limit, before),
            lambda found: promotion_answers(tx, pipeline.name, found),
        )


def create_promotion(ctx: ApiContext[PromotionForm, Empty]) -> Any:
    form = ctx.body
    with ctx.server.db.write() as tx:
        pipeline = pipeline_of(ctx, tx)
        if form.skip_stages:
            ctx.require(Right.SKIP_STAGES, pipeline.project_id)

        def make() -> PromotionAnswer:
            made = promote_component(
                tx,
                ctx.server.names,
                pipeline,
                form.source,
                to=form.to,
                to_stage=form.to_stage,
                may_skip_stages=form.skip_stages,
                confirm_paused=form.confirm_paused,
                who=ctx.who,
                now=ctx.now,
            )
            return promotion_answers(tx, pipeline.name, [made])[0]

        return once(ctx, tx, make)


def promotion_answers(tx: Tx, pipeline: str, found: Sequence[Promotion]) -> list[PromotionAnswer]:
    ids = {int(job_id) for each in found for job_id in each.images}
    names = {str(job_id): name for job_id, name in jobs.names_of(tx, ids).items()}
    return [promotion_answer(each, pipeline, names) for each in found]


PATH = "/projects/{p}/pipelines/{pl}/promotions"
OPERATIONS = (
    Operation(
        "GET",
        PATH,
        "List a pipeline's promotions",
        list_promotions,
        query=Paging,
        answer=Page[PromotionAnswer],
    ),
    Operation(
        "POST",
        PATH,
        "Promote what is deployed at a component to its peer in a later stage",
        create_promotion,
        Right.DEPLOY,
        body=PromotionForm,
        answer=PromotionAnswer,
        status=202,
        idempotent=True,
    ),
)
