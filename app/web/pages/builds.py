"""`/builds/{build}`: what will be built and why, its steps, its log, and what came of it."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response
from starlette.routing import Route

from app.commands import continuous_delivery
from app.commands.dry_run import Effect, of_deploy
from app.commands.image_rollout import build_to_deploy, deploy_job, image_of
from app.domain.builds import Build, BuildReason, BuildStatus
from app.domain.errors import Conflict
from app.domain.events import BRANCH_PREFIX
from app.domain.job.records import Job
from app.domain.principals import Right
from app.logs import LogReader
from app.store import builds, commit_statuses, decisions, jobs, overview, quotas
from app.store.database import Tx
from app.web.event_streams import Stream
from app.web.pages import charts
from app.web.pages.context import PageContext, StreamRoute, get, post, see
from app.web.pages.decision_groups import grouped
from app.web.pages.logcard import address_of_build, card_of_build, log_rows, view_of
from app.web.pages.logfollow import Followed, follow
from app.web.reach import job_named, project_named
from app.web.schemas.commit_status import commit_status_answers
from app.web.scope import build_of
from app.web.server_context import ServerContext


def show_build(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        build = quotas.build_waits(tx, build_of(ctx, tx))
        made_for = overview.jobs_of_build(tx, build.id)
        found = jobs.with_ids(tx, [job_id for job_id, _, _ in made_for])
        deploys = [_deploy(tx, ctx, build, job) for job in found.values()] if may_deploy(build) else []
        paused = {job.id for job in found.values() if job.paused}
        caused = decisions.page(tx, limit=50, build_id=build.id)
        told = commit_status_answers(commit_statuses.about(tx, builds=[build.id]))
    elapsed = (build.finished_at or ctx.now) - build.started_at if build.started_at else timedelta(0)
    return ctx.page(
        "build.html",
        build=build,
        jobs=made_for,
        deploys=deploys,
        paused=[name for job_id, _, name in made_for if job_id in paused],
        decisions=grouped(caused),
        commit_statuses=told,
        steps=charts.steps(build.steps, building=not build.status.is_final, elapsed=elapsed),
        elapsed=elapsed,
        log=card_of_build(ctx, build),
    )


def may_deploy(build: Build) -> bool:
    return build.status is BuildStatus.SUCCEEDED and build.image is not None


def _deploy(tx: Tx, ctx: PageContext, build: Build, job: Job) -> Effect:
    """What deploying this build to a job would do."""
    image = image_of(build, job, ctx.now)
    latest = _is_latest(tx, job, build)
    return of_deploy(tx, job, image, latest=latest, confirm_paused=True, who=ctx.who)


def _is_latest(tx: Tx, job: Job, build: Build) -> bool:
    if job.source is None:
        return False
    latest = builds.latest_succeeded(tx, job.source.id, BRANCH_PREFIX + job.source.branch)
    return latest is not None and latest.id == build.id


def deploy_build(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        project = project_named(ctx, tx, ctx.field("project"))
        job = job_named(ctx, tx, project, ctx.field("job"))
        build = build_to_deploy(tx, job, build_of(ctx, tx).id)
        latest = _is_latest(tx, job, build)
        image = image_of(build, job, ctx.now)
        deploy_job(
            tx,
            ctx.server.names,
            job,
            image,
            latest=latest,
            confirm_paused=ctx.field("confirm_paused") == "1",
            who=ctx.who,
            now=ctx.now,
        )
    return see(f"/projects/{job.project}/jobs/{job.name}")


def _reader(server: ServerContext, build: Build) -> LogReader:
    return server.log_storage.build_reader(build.id)


def more_log(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        build = build_of(ctx, tx)
    address = address_of_build(ctx, build)
    view = view_of(ctx, _reader(ctx.server, build), address)
    return log_rows(ctx, view, address.place(several=False))


def follow_log(ctx: PageContext) -> Stream:
    """The build's log while it grows."""
    server = ctx.server
    with server.db.read() as tx:
        build = build_of(ctx, tx)
    address = address_of_build(ctx, build)
    followed = Followed(
        view=view_of(ctx, _reader(server, build), address).unfolded,
        topics=frozenset({f"log:build:{build.id}", f"build:{build.id}"}),
        is_over=lambda: _load(server, build.id).status.is_final,
        place=address.place(several=False),
    )
    return follow(ctx, followed, build.project_id)


def _load(server: ServerContext, build_id: int) -> Build:
    with server.db.read() as tx:
        return builds.with_id(tx, build_id)


def cancel_build(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        build = build_of(ctx, tx)
        sentence = f"Cancelled by {ctx.who}."
        names = ctx.server.names
        asked = continuous_delivery.cancel_build(tx, names, build, BuildReason.CANCELLED, sentence, ctx.now)
        if asked is None:
            raise Conflict(f"Build {build.id} is over already: it {build.status}.")
    return see(f"/builds/{build.id}")


def routes() -> list[Route]:
    return [
        get("/builds/{build}", show_build),
        get("/builds/{build}/log", more_log),
        StreamRoute("/builds/{build}/follow", follow_log),
        post("/builds/{build}/cancel", cancel_build, Right.RUN),
        post("/builds/{build}/deploy", deploy_build, Right.DEPLOY),
    ]
