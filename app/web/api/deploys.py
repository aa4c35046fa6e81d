"""Deploying by hand: point a job at a build or an image."""

from __future__ import annotations

from typing import Any

from app.commands.image_rollout import deploy_job
from app.commands.job_deploys import image_chosen, pin_choice
from app.domain.principals import Right
from app.store import decisions, jobs
from app.web.api import idempotency
from app.web.api.jobs import job_answer
from app.web.api.operations import ApiContext, Operation
from app.web.schemas.base import Empty
from app.web.schemas.decision import decision_answer
from app.web.schemas.job_deploy import JobDeployAnswer, JobDeployForm
from app.web.scope import job_of


def deploy(ctx: ApiContext[JobDeployForm, Empty]) -> Any:
    """A tag is resolved before anything changes, and outside of any transaction."""
    with ctx.server.db.read() as tx:
        job = job_of(ctx, tx)
        is_repeated = idempotency.is_repeated(ctx, tx)
    choice = ctx.body.choice()
    pinned = None if is_repeated else pin_choice(choice, job, ctx.server.pin_image)
    with ctx.server.db.write() as tx:
        job = job_of(ctx, tx)

        def make() -> dict[str, object]:
            server, form, now = ctx.server, ctx.body, ctx.now
            made = deploy_job(
                tx,
                server.names,
                job,
                image_chosen(tx, server.ours, job, choice, pinned, now),
                latest=choice.is_latest,
                confirm_paused=form.confirm_paused,
                who=ctx.who,
                now=now,
            )
            return {
                "job": job_answer(ctx, tx, jobs.with_id(tx, job.id)),
                "decision": decision_answer(decisions.with_id(tx, made)),
            }

        return idempotency.once(ctx, tx, make)


OPERATIONS = (
    Operation(
        "POST",
        "/projects/{p}/jobs/{j}/deploy",
        "Point a job at a build or an image; all but the latest build turn CD off",
        deploy,
        Right.DEPLOY,
        body=JobDeployForm,
        answer=JobDeployAnswer,
        status=202,
        idempotent=True,
    ),
)
