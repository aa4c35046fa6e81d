"""Builds: list, ask for one, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.commands import continuous_delivery
from app.commands.builds import request_build
from app.domain.builds import Build, BuildReason
from app.domain.errors import Conflict
from app.domain.principals import Right
from app.store import build_lists, builds, quotas
from app.store.build_lists import BuildFilter
from app.store.database import Tx
from app.web.api.idempotency import once
from app.web.api.lists import stretched
from app.web.api.operations import ApiContext, Operation
from app.web.reach import named_in
from app.web.schemas.base import Empty, Page, Paging
from app.web.schemas.build import BuildAnswer, ManualBuildForm, build_answer
from app.web.schemas.lists import BuildsWanted, OfAll
from app.web.scope import build_of, job_of, project_of


class JobBuildsQuery(BuildsWanted, Paging):
    """Builds for a job."""


class BuildsQuery(BuildsWanted, OfAll, Paging):
    """Builds for all jobs and build services."""


def list_all_builds(ctx: ApiContext[Empty, BuildsQuery]) -> Any:
    with ctx.server.db.read() as tx:
        project, job = named_in(ctx, tx, ctx.query.project, ctx.query.job)
        return _listed(ctx, tx, ctx.query.filter(ctx, project, job))


def list_builds(ctx: ApiContext[Empty, JobBuildsQuery]) -> Any:
    with ctx.server.db.read() as tx:
        return _listed(ctx, tx, ctx.query.filter(ctx, project_of(ctx, tx), job_of(ctx, tx)))


def _listed(ctx: ApiContext[Any, Any], tx: Tx, wanted: BuildFilter) -> Any:
    return stretched(
        ctx,
        lambda place, limit: build_lists.page(tx, wanted, place, limit),
        lambda found: build_answers(tx, found),
    )


def create_build(ctx: ApiContext[ManualBuildForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        job = job_of(ctx, tx)

        def make() -> BuildAnswer:
            build_id = request_build(
                tx,
                job,
                sha=ctx.body.sha,
                branch=ctx.body.ref,
                who=ctx.who,
                now=ctx.now,
                vault=ctx.server.vault,
            )
            return build_answers(tx, [builds.with_id(tx, build_id)])[0]

        return once(ctx, tx, make)


def show_build(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return build_answers(tx, [quotas.build_waits(tx, build_of(ctx, tx))])[0]


def cancel_build(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        build = build_of(ctx, tx)
        sentence = f"Cancelled by {ctx.who}."
        names = ctx.server.names
        asked = continuous_delivery.cancel_build(tx, names, build, BuildReason.CANCELLED, sentence, ctx.now)
        if asked is None:
            raise Conflict(f"Build {build.id} is over already: {build.status}.")
        return build_answers(tx, [asked])[0]


def build_answers(tx: Tx, found: Sequence[Build]) -> list[BuildAnswer]:
    made_for = builds.made_for(tx, [build.id for build in found])
    return [build_answer(build, made_for[build.id]) for build in found]


OPERATIONS = (
    Operation("GET", "/builds", "List builds", list_all_builds, query=BuildsQuery, answer=Page[BuildAnswer]),
    Operation(
        "GET",
        "/projects/{p}/jobs/{j}/builds",
        "List a job's builds",
        list_builds,
        query=JobBuildsQuery,
        answer=Page[BuildAnswer],
    ),
    Operation(
        "POST",
        "/projects/{p}/jobs/{j}/builds",
        "Start a manual build, whatever the rules for pushes say",
        create_build,
        Right.RUN,
        body=ManualBuildForm,
        answer=BuildAnswer,
        status=202,
        idempotent=True,
    ),
    Operation("GET", "/builds/{id}", "Show a build", show_build, answer=BuildAnswer),
    Operation(
        "POST",
        "/builds/{id}/cancel",
        "Cancel a build",
        cancel_build,
        Right.RUN,
        answer=BuildAnswer,
        status=202,
    ),
)
