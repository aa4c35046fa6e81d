"""Deploying by hand: point a job at a build or an image."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.commands.image_ownership import require_usable
from app.commands.image_rollout import build_to_deploy, deploy_job, image_of
from app.domain.errors import InvalidValue
from app.domain.jobs import Deployed, Job, Pinned
from app.domain.principals import Role
from app.domain.references import Ours
from app.store import decisions, jobs
from app.store.database import Tx
from app.web.api import idempotency
from app.web.api.jobs import job_answer
from app.web.api.operations import ApiContext, Operation
from app.web.api.scope import job_of
from app.web.schemas.base import Empty
from app.web.schemas.decision import decision_answer
from app.web.schemas.job_deploy import JobDeployAnswer, JobDeployForm
from app.web.server_context import ServerContext


def deploy(ctx: ApiContext[JobDeployForm, Empty]) -> Any:
    """A tag is resolved before anything changes, and outside of any transaction."""
    with ctx.server.db.read() as tx:
        job = job_of(ctx, tx, Role.OPERATOR)
        is_repeated = idempotency.is_repeated(ctx, tx)
    pinned = None if is_repeated else pin(ctx.server, job, ctx.body)
    with ctx.server.db.write() as tx:
        job = job_of(ctx, tx, Role.OPERATOR)

        def make() -> dict[str, Any]:
            server, form, now = ctx.server, ctx.body, ctx.now
            made = deploy_job(
                tx,
                server.names,
                job,
                chosen(tx, server.ours, job, form, pinned, now),
                latest=form.build == "latest",
                confirm_paused=form.confirm_paused,
                who=ctx.who,
                now=now,
            )
            return {
                "job": job_answer(ctx, tx, jobs.with_id(tx, job.id)),
                "decision": decision_answer(decisions.with_id(tx, made)),
            }

        return idempotency.once(ctx, tx, make)


def pin(server: ServerContext, job: Job, form: JobDeployForm) -> Pinned | None:
    """What a tag that is asked for means now; None where a build or a digest is. No transaction may be open.

    Raises InvalidValue, TransientError.
    """
    if form.image is None or form.build is not None or "@" in form.image:
        return None
    return server.pin_image(job.id, form.image)


def chosen(
    tx: Tx, ours: Ours, job: Job, form: JobDeployForm, pinned: Pinned | None, now: datetime
) -> Deployed:
    """The image that is asked for, by its digest. Raises InvalidValue or Conflict where there is none."""
    build, image = form.build, form.image
    if image is not None:
        if build is not None:
            raise InvalidValue("image", "image can't be set together with build: give one of them.")
        require_usable(tx, ours, job.project_id, image)
        held = pinned or Pinned(image, image.partition("@")[2])
        return Deployed(held.image, held.digest, None, None, "", now, reference=image)
    if build is None:
        raise InvalidValue("build", 'build is missing: give the id of a build, "latest", or an image.')
    return image_of(build_to_deploy(tx, job, None if build == "latest" else build), job, now)


OPERATIONS = (
    Operation(
        "POST",
        "/projects/{p}/jobs/{j}/deploy",
        "Point a job at a build or an image; all but the latest build turn CD off",
        deploy,
        Role.OPERATOR,
        body=JobDeployForm,
        answer=JobDeployAnswer,
        status=202,
        idempotent=True,
    ),
)
