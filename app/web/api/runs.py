"""Runs: start, rehearse, list, cancel, run again."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.commands import runs as commands
from app.commands.overrides import request_run
from app.commands.runs import NextImage, held_to, image_of_next_run, run_again, start_run
from app.domain.errors import NotFound
from app.domain.job.effective import Effective, effective_of
from app.domain.job.records import Deployed, Job
from app.domain.principals import Right
from app.domain.runs import Trigger, TriggerType
from app.store import quotas, run_attempts, run_lists, runs
from app.store.database import Tx
from app.store.run_lists import RunFilter
from app.web.api.idempotency import once
from app.web.api.lists import stretched
from app.web.api.operations import Answer, ApiContext, Operation
from app.web.numbers import LARGEST
from app.web.reach import job_once_named, named_in
from app.web.run_texts import form_query
from app.web.schemas.base import Empty, Model, Page, Paging
from app.web.schemas.drafts import overrides_draft
from app.web.schemas.lists import OfAll, RunsWanted
from app.web.schemas.run import (
    AttemptsAnswer,
    DryRunAnswer,
    OverridesForm,
    RerunForm,
    RunAnswer,
    attempt_answer,
    run_answer,
    shown_effective,
)
from app.web.schemas.vitals import MetricsAnswer, metrics_answer
from app.web.scope import job_of, project_of, run_of


class MetricsQuery(Model):
    attempt: int | None = Field(None, ge=1, le=LARGEST, description="its number; all if left out")


class RunQuery(Model):
    dry_run: bool = Field(default=False, description="start nothing, show what would be run")


class JobRunsQuery(RunsWanted, Paging):
    """Runs of a job."""


class RunsQuery(RunsWanted, OfAll, Paging):
    """Runs of all jobs."""


def list_all_runs(ctx: ApiContext[Empty, RunsQuery]) -> Any:
    with ctx.server.db.read() as tx:
        project, job = named_in(ctx, tx, ctx.query.project, ctx.query.job)
        return _listed(ctx, tx, ctx.query.filter(ctx, project, job))


def list_runs(ctx: ApiContext[Empty, JobRunsQuery]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        job = job_once_named(ctx, tx, project, ctx.path("j"))
        return _listed(ctx, tx, ctx.query.filter(ctx, project, job))


def _listed(ctx: ApiContext[Any, Any], tx: Tx, wanted: RunFilter) -> Any:
    return stretched(
        ctx,
        lambda place, limit: run_lists.page(tx, wanted, place, limit),
        lambda found: [run_answer(run) for run in found],
    )


def create_run(ctx: ApiContext[OverridesForm, RunQuery]) -> Any:
    with ctx.server.db.write() as tx:
        job = job_of(ctx, tx)
        server = ctx.server
        draft = overrides_draft(ctx.body)
        asked = request_run(tx, job, draft, vault=server.vault, ours=server.ours, now=ctx.now)
        if ctx.query.dry_run:
            url = f"{ctx.address}/projects/{job.project}/jobs/{job.name}/run"
            query = form_query(asked.overrides)
            effective = held_to(tx, job, effective_of(job, asked.overrides))
            return Answer(_rehearsal(job, effective, asked.image, f"{url}?{query}" if query else url), 200)

        def make() -> RunAnswer:
            run_id = start_run(tx, server.names, job, asked.overrides, _trigger(ctx), ctx.now, asked.image)
            return run_answer(runs.with_id(tx, run_id))

        return once(ctx, tx, make)


def show_run(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return run_answer(quotas.run_waits(tx, run_of(ctx, tx), ctx.now))


def list_attempts(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        run = run_of(ctx, tx)
        found = [
            (each, run_attempts.containers_of(tx, each.id))
            for each in reversed(run_attempts.attempts_of(tx, run.id))
        ]
    checks = run.spec.health_checks
    return AttemptsAnswer(
        items=[
            attempt_answer(attempt, containers, checks, ctx.server.log_storage.vitals(run.id, attempt.number))
            for attempt, containers in found
        ]
    )


def show_metrics(ctx: ApiContext[Empty, MetricsQuery]) -> Any:
    with ctx.server.db.read() as tx:
        run = run_of(ctx, tx)
        attempts = [each.number for each in run_attempts.attempts_of(tx, run.id)]
    wanted = ctx.query.attempt
    if wanted is not None and wanted not in attempts:
        raise NotFound(f"Run {run.name} has no attempt {wanted}.")
    return metrics_answer(
        run.spec.instances,
        ctx.server.plans.get(run.spec.plan),
        {
            number: ctx.server.log_storage.vitals(run.id, number)
            for number in attempts
            if wanted in (None, number)
        },
    )


def cancel_run(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        run = run_of(ctx, tx)
        commands.cancel_run(tx, run, ctx.who, ctx.now)
        return run_answer(runs.with_id(tx, run.id))


def rerun(ctx: ApiContext[RerunForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        run = run_of(ctx, tx)

        def make() -> RunAnswer:
            run_id = run_again(
                tx,
                ctx.server.names,
                run,
                ctx.body.config,
                _trigger(ctx),
                ctx.now,
                confirm_paused=ctx.body.confirm_paused,
            )
            return run_answer(runs.with_id(tx, run_id))

        return once(ctx, tx, make)


def _trigger(ctx: ApiContext[Any, Any]) -> Trigger:
    return Trigger(TriggerType.MANUAL if ctx.principal.is_browser else TriggerType.API, by=ctx.who)


def _rehearsal(job: Job, effective: Effective, image: Deployed | None, url: str) -> DryRunAnswer:
    if image is None:
        shown, origin = image_of_next_run(job), "deployed" if job.deployed else "job"
    else:
        shown, origin = NextImage(image.image, image.build_id, image.sha), "override"
    env = effective.spec.env
    only_built_with = {f"env.{name}" for name, each in env.items() if not each.in_run}
    origins = {name: each for name, each in effective.origins.items() if name not in only_built_with}
    return DryRunAnswer(
        effective={
            "image": shown.image,
            "build": shown.build_id,
            "sha": shown.sha,
            **shown_effective(effective.spec),
        },
        origins={"image": origin, **origins},
        url=url,
    )


OPERATIONS = (
    Operation("GET", "/runs", "List runs", list_all_runs, query=RunsQuery, answer=Page[RunAnswer]),
    Operation(
        "GET",
        "/projects/{p}/jobs/{j}/runs",
        "List a job's runs, also of a deleted one whose name no other has",
        list_runs,
        query=JobRunsQuery,
        answer=Page[RunAnswer],
    ),
    Operation(
        "POST",
        "/projects/{p}/jobs/{j}/runs",
        "Run a job now; with dry_run, only show what would be run (200, effective, origins and the form's url)",
        create_run,
        Right.RUN,
        body=OverridesForm,
        query=RunQuery,
        answer=RunAnswer | DryRunAnswer,
        status=202,
        idempotent=True,
    ),
    Operation("GET", "/runs/{id}", "Show a run, by id or name", show_run, answer=RunAnswer),
    Operation("GET", "/runs/{id}/attempts", "List a run's attempts", list_attempts, answer=AttemptsAnswer),
    Operation(
        "GET",
        "/runs/{id}/metrics",
        "Show what a run's containers used: of one attempt, or of all, oldest first",
        show_metrics,
        query=MetricsQuery,
        answer=MetricsAnswer,
    ),
    Operation(
        "POST",
        "/runs/{id}/cancel",
        "Cancel a run, with its grace period; asked once more, it is killed at once",
        cancel_run,
        Right.RUN,
        answer=RunAnswer,
        status=202,
    ),
    Operation(
        "POST",
        "/runs/{id}/rerun",
        "Run again: with the same image and configuration, or with what the job has now",
        rerun,
        Right.RUN,
        body=RerunForm,
        answer=RunAnswer,
        status=202,
        idempotent=True,
    ),
)
