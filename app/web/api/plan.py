"""Rehearsals: what a push would do and why, and what a repository would be built as."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from app.commands.dry_run import Effect, of_deploy, of_promotion, summary
from app.commands.job_deploys import image_chosen, pin_choice
from app.commands.job_edits import Edit, preview_edit
from app.commands.promotions import plan_promotion
from app.domain.errors import InvalidValue
from app.domain.pipelines import route
from app.domain.principals import Right
from app.web.api.operations import ApiContext, Operation
from app.web.patching import job_and_draft
from app.web.reach import delivery_called, job_named, pipeline_named, project_named
from app.web.schemas.base import Empty
from app.web.schemas.plan import (
    DetectAnswer,
    DetectForm,
    EditAnswer,
    PlanAnswer,
    PlanDeployForm,
    PlanForm,
    PlanPromotionForm,
    PlanSettingsForm,
)


def rehearse(ctx: ApiContext[PlanForm, Empty]) -> Any:
    form, dry_run = ctx.body, ctx.server.dry_run
    if form.detect is not None:
        return _detect(ctx, form.detect)
    if form.settings is not None:
        return _settings(ctx, form.settings)
    if form.deploy is not None:
        found = [_deploy(ctx, form.deploy)]
    elif form.promotion is not None:
        found = _promotion(ctx, form.promotion)
    elif form.push is not None:
        found = dry_run.of_push(form.push.as_push(), ctx.projects)
    else:
        with ctx.server.db.read() as tx:
            delivery = delivery_called(ctx, tx, form.delivery or "")
        found = dry_run.of_delivery(delivery, ctx.projects)
    return {"sentence": summary(found), "items": [asdict(each) for each in found]}


def _detect(ctx: ApiContext[PlanForm, Empty], form: DetectForm) -> Any:
    if form.project is not None:
        with ctx.server.db.read() as tx:
            project = project_named(ctx, tx, form.project)
        return asdict(ctx.server.dry_run.detection.look_at(project, form.source(), "detect."))
    if form.git.credential is not None:
        raise InvalidValue("detect.project", "detect.project is missing: a credential needs its project.")
    return asdict(ctx.server.dry_run.detection.look_at(None, form.source(), "detect."))


def _settings(ctx: ApiContext[PlanForm, Empty], form: PlanSettingsForm) -> Any:
    with ctx.server.db.read() as tx:
        project = project_named(ctx, tx, form.project)
        server = ctx.server
        job, draft = job_and_draft(tx, project, form.fields, server)
        edit = preview_edit(
            tx, project, job, draft, vault=server.vault, ours=server.ours, who=ctx.who, now=ctx.now
        )
        return edit_answer(edit, str(form.fields.get("name")))


def edit_answer(edit: Edit, name: str) -> dict[str, object]:
    if edit.is_new:
        sentence = f"Job {name} would be made; nothing was done."
    else:
        settings = f"{len(edit.changes)} setting{'s' * (len(edit.changes) != 1)}"
        sentence = f"{settings} of {name} would change; nothing was done."
    return {"sentence": sentence, **asdict(edit)}


def _deploy(ctx: ApiContext[PlanForm, Empty], form: PlanDeployForm) -> Effect:
    with ctx.server.db.read() as tx:
        project = project_named(ctx, tx, form.project)
        job = job_named(ctx, tx, project, form.job)
    choice = form.choice()
    pinned = pin_choice(choice, job, ctx.server.pin_image)
    with ctx.server.db.read() as tx:
        image = image_chosen(tx, ctx.server.ours, job, choice, pinned, ctx.now)
        return of_deploy(
            tx,
            job,
            image,
            latest=choice.is_latest,
            confirm_paused=form.confirm_paused,
            who=ctx.who,
        )


def _promotion(ctx: ApiContext[PlanForm, Empty], form: PlanPromotionForm) -> list[Effect]:
    with ctx.server.db.read() as tx:
        project = project_named(ctx, tx, form.project)
        if form.skip_stages:
            ctx.require(Right.SKIP_STAGES, project.id)
        pipeline = pipeline_named(ctx, tx, project, form.pipeline)
        way = route(
            pipeline, form.source, to=form.to, to_stage=form.to_stage, may_skip_stages=form.skip_stages
        )
        planned = plan_promotion(tx, way, who=ctx.who, confirm_paused=True)
        return of_promotion(tx, planned, confirm_paused=form.confirm_paused)


OPERATIONS = (
    Operation(
        "POST",
        "/plan",
        "Rehearse a push, delivery, promotion, deploy or edit, or look at a repository; nothing is done",
        rehearse,
        Right.RUN,
        body=PlanForm,
        answer=PlanAnswer | EditAnswer | DetectAnswer,
    ),
)
