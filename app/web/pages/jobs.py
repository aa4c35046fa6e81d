"""`/projects/{p}/jobs/{j}`: what the job is, its runs, and every decision about it."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response
from starlette.routing import Route

from app.commands import pausing
from app.commands.runs import how_to_get_an_image
from app.domain.builds import BuildStatus
from app.domain.job.records import Job
from app.domain.principals import Right
from app.store import apps, builds, conditions, decisions, notification_targets, overview, projects
from app.store.strips import mark_of
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.first_steps import first_steps_of_job
from app.web.scope import job_of, job_or_what_is_left

RUNS = 50
LATELY = timedelta(days=7)


def address(job: Job) -> str:
    return f"/projects/{job.project}/jobs/{job.name}"


def show_job(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        job = job_or_what_is_left(ctx, tx)
        bars = overview.strip(tx, job.id, RUNS + 1, ctx.number("before"))
        latest = overview.strip(tx, job.id, 1) if ctx.number("before") else bars[:1]
        built = conditions.latest_builds_of(tx, [job.id]).get(job.id)
        why = decisions.page(tx, limit=6, job_id=job.id)
        made = builds.page(tx, limit=6, source_id=job.source.id) if job.source else []
        part = apps.parts_of(tx, [job.id]).get(job.id)
        steps = first_steps_of_job(tx, job)
        at_least = projects.hardening_of(tx, job.project_id)
        told = notification_targets.of_project(tx, job.project_id)
        need = None if job.has_image else how_to_get_an_image(tx, job)
    return ctx.page(
        "job.html",
        job=job,
        part=part,
        need=need,
        steps=steps,
        address=address(job),
        bars=bars[:RUNS],
        marks=[mark_of(bar) for bar in bars[:RUNS]],
        latest=latest[0] if latest else None,
        failed_build=built if built is not None and built.status is BuildStatus.FAILED else None,
        more=bars[RUNS - 1].id if len(bars) > RUNS else None,
        typical=overview.typical_duration(bars),
        decisions=why,
        builds=made,
        hardening=job.spec.run.hardening.with_at_least(at_least).asked,
        plan=ctx.server.plans.get(job.spec.run.plan),
        env=sorted(job.env.items()),
        switches=_switches(job),
        told=[target for target in told if target.is_for([job.id])],
    )


def _switches(job: Job) -> list[tuple[str, str, bool]]:
    """Return what a resume can turn on or off: the field's name, its label, and whether it is on now."""
    by_push = [] if job.source and job.source.name else [("ci_enabled", "CI", job.ci_enabled)]
    by_time = [("schedule_active", "its schedule", job.schedule.active)] if job.schedule else []
    return [*by_push, ("cd_enabled", "CD", job.cd_enabled), *by_time]


def pause(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        job = job_of(ctx, tx)
        pausing.pause(tx, ctx.server.names, job, who=ctx.who, now=ctx.now)
    return see(address(job))


def resume(ctx: PageContext) -> Response:
    """As it was before the pause, or with the switches that the form gives."""
    switches = ("ci_enabled", "cd_enabled", "schedule_active")
    changes = {name: ctx.field(name) == "on" for name in switches if ctx.field(name)}
    with ctx.server.db.write() as tx:
        job = job_of(ctx, tx)
        if pausing.changes_a_switch(job, changes):
            ctx.require(Right.CHANGE, job.project_id)
        pausing.resume(tx, ctx.server.names, job, who=ctx.who, now=ctx.now, **changes)
    return see(address(job))


def routes() -> list[Route]:
    path = "/projects/{project}/jobs/{job}"
    return [
        get(path, show_job),
        post(f"{path}/pause", pause, Right.RUN),
        post(f"{path}/resume", resume, Right.RUN),
    ]
