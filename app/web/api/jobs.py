"""Jobs: define, change, pause, and ask why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from app.commands import jobs as commands
from app.commands import pausing
from app.commands.job_warnings import warnings_of
from app.domain.builds import Build
from app.domain.documents import Json
from app.domain.fires import next_fire_of
from app.domain.job.codec import shown_job
from app.domain.job.records import Job
from app.domain.principals import Right
from app.domain.runs import Run
from app.store import apps, conditions, credentials, decisions, jobs, projects, runs
from app.store.credentials import Credential
from app.store.database import Tx
from app.web.api.lists import confirmed, paged
from app.web.api.operations import ApiContext, Operation
from app.web.patching import patched_job
from app.web.reach import job_once_named
from app.web.schemas.base import Confirm, Empty, Model, Page, Paging
from app.web.schemas.drafts import job_draft
from app.web.schemas.fields import Time
from app.web.schemas.job import JobAnswer, JobForm, JobPatch, ResumeForm, deployed_answer
from app.web.schemas.told_decision import ToldDecisionAnswer, told_decision_answers
from app.web.scope import job_of, project_of
from app.web.webhook_places import forge_of, host_of

WHY_ITEMS = 50


class WhyQuery(Model):
    at: Time | None = Field(
        default=None, description="decisions up to a minute after this time; the latest if left out"
    )


class WhyAnswer(Model):
    """Decisions, the likeliest answer first."""

    items: list[ToldDecisionAnswer]


def list_jobs(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: jobs.page(tx, project_id=project.id, limit=limit, before=before),
            lambda found: job_answers(ctx, tx, found),
        )


def create_job(ctx: ApiContext[JobForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        server = ctx.server
        job = commands.define_job(
            tx,
            project,
            job_draft(ctx.body),
            names=server.names,
            vault=server.vault,
            ours=server.ours,
            who=ctx.who,
            now=ctx.now,
        )
        return job_answer(ctx, tx, job)


def show_job(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return job_answer(ctx, tx, job_of(ctx, tx))


def change_job(ctx: ApiContext[JobPatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        job = job_of(ctx, tx)
        server = ctx.server
        changed = commands.change_job(
            tx,
            job,
            patched_job(job, ctx.body.root, server),
            names=server.names,
            vault=server.vault,
            ours=server.ours,
            who=ctx.who,
            now=ctx.now,
        )
        return job_answer(ctx, tx, changed)


def delete_job(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        job = job_of(ctx, tx)
        confirmed(ctx, job.name)
        commands.remove_job(tx, job, ctx.now)


def pause_job(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        job = job_of(ctx, tx)
        return job_answer(ctx, tx, pausing.pause(tx, ctx.server.names, job, who=ctx.who, now=ctx.now))


def resume_job(ctx: ApiContext[ResumeForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        job = job_of(ctx, tx)
        switches = ctx.body.model_dump()
        if pausing.changes_a_switch(job, switches):
            ctx.require(Right.CHANGE, job.project_id)
        resumed = pausing.resume(tx, ctx.server.names, job, who=ctx.who, now=ctx.now, **switches)
        return job_answer(ctx, tx, resumed)


def why(ctx: ApiContext[Empty, WhyQuery]) -> Any:
    with ctx.server.db.read() as tx:
        job = job_once_named(ctx, tx, project_of(ctx, tx), ctx.path("j"))
        found = decisions.answering(tx, job.id, ctx.query.at, WHY_ITEMS)
        return WhyAnswer(items=told_decision_answers(tx, found))


def job_answers(ctx: ApiContext[Any, Any], tx: Tx, found: Sequence[Job]) -> list[Json]:
    ids = [job.id for job in found]
    latest, app_names = runs.latest_of(tx, ids), apps.names_of(tx, ids)
    built, failing = conditions.latest_builds_of(tx, ids), conditions.failing_of(tx, ids)
    with_secret = {job.project_id: projects.with_id(tx, job.project_id).webhook_secret for job in found}
    telling = {project_id: credentials.telling_forges(tx, project_id) for project_id in with_secret}
    return [
        {
            **_answer(
                *(ctx, job, latest.get(job.id), telling[job.project_id]),
                project_has_secret=bool(with_secret[job.project_id]),
            ),
            "app": app_names.get(job.id),
            "last_build": _last_build(built.get(job.id)),
            "failing": job.id in failing,
        }
        for job in found
    ]


def job_answer(ctx: ApiContext[Any, Any], tx: Tx, job: Job) -> Json:
    return job_answers(ctx, tx, [job])[0]


def _answer(
    ctx: ApiContext[Any, Any],
    job: Job,
    last: Run | None,
    telling: Mapping[str, Credential],
    *,
    project_has_secret: bool,
) -> Json:
    answer: Json = {"id": job.id, "project": job.project, **shown_job(job.spec)}
    if answer["source"]["type"] == "git":
        has_secret = job.source is not None and job.source.webhook_secret is not None
        git = {**answer["source"]["git"], "webhook_secret": None, "has_webhook_secret": has_secret}
        answer["source"] = {**answer["source"], "git": git}
    if answer["source"]["type"] == "build_service" and job.source is not None:
        answer["source"] = {**answer["source"], "branch": job.source.branch}
    return {
        **answer,
        "from_file": _from_file(job),
        "deployed": None if job.deployed is None else deployed_answer(job.deployed).model_dump(),
        "next_fire_at": next_fire_of(job, ctx.now),
        "last_run": _last_run(last),
        "created_at": job.created_at,
        "webhook_url": _webhook_url(ctx, job, telling),
        "warnings": warnings_of(job, ctx.server.vault, project_has_secret=project_has_secret),
    }


def _webhook_url(ctx: ApiContext[Any, Any], job: Job, telling: Mapping[str, Credential]) -> str:
    url = "" if job.source is None else job.source.url
    return f"{ctx.address}/webhooks/{forge_of(url, telling.get(host_of(url)))}"


def _from_file(job: Job) -> Json | None:
    held = job.from_file
    if held is None:
        return None
    service = None if job.source is None else job.source.name
    fields = list(held.fields)
    return {"build_service": service, "sha": held.sha, "fields": fields, "removed": held.removed}


def _last_run(run: Run | None) -> dict[str, object] | None:
    if run is None:
        return None
    return {
        "id": run.id,
        "name": run.name,
        "status": run.status,
        "created_at": run.created_at,
        "started_at": run.first_started_at,
        "finished_at": run.finished_at,
    }


def _last_build(build: Build | None) -> dict[str, object] | None:
    if build is None:
        return None
    return {
        "id": build.id,
        "status": build.status,
        "created_at": build.created_at,
        "finished_at": build.finished_at,
    }


PATH = "/projects/{p}/jobs"
OPERATIONS = (
    Operation("GET", PATH, "List a project's jobs", list_jobs, query=Paging, answer=Page[JobAnswer]),
    Operation(
        "POST", PATH, "Create a job", create_job, Right.CHANGE, body=JobForm, answer=JobAnswer, status=201
    ),
    Operation("GET", PATH + "/{j}", "Show a job", show_job, answer=JobAnswer),
    Operation(
        "PATCH", PATH + "/{j}", "Change a job", change_job, Right.CHANGE, body=JobPatch, answer=JobAnswer
    ),
    Operation("DELETE", PATH + "/{j}", "Delete a job", delete_job, Right.CHANGE, query=Confirm, status=204),
    Operation(
        "POST",
        PATH + "/{j}/pause",
        "Pause a job: its CI, CD and schedule rest; what runs goes on",
        pause_job,
        Right.RUN,
        answer=JobAnswer,
    ),
    Operation(
        "POST",
        PATH + "/{j}/resume",
        "Resume a paused job, as it was or with changes",
        resume_job,
        Right.RUN,
        body=ResumeForm,
        answer=JobAnswer,
    ),
    Operation(
        "GET",
        PATH + "/{j}/why",
        "Why it did or did not run: the latest decisions about a job, also a deleted one",
        why,
        query=WhyQuery,
        answer=WhyAnswer,
    ),
)
