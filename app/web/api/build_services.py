"""Build services: define, change, build."""

from __future__ import annotations

from typing import Any

from app.commands import build_services as commands
from app.commands.builds import request_build_of_source
from app.domain.principals import Right
from app.store import build_services, builds, jobs
from app.store.build_services import BuildService
from app.store.database import Tx
from app.store.projects import Project
from app.web.api.builds import build_answers
from app.web.api.idempotency import once
from app.web.api.lists import confirmed, paged
from app.web.api.operations import ApiContext, Operation
from app.web.patching import patched_service, shown_service
from app.web.reach import look_up
from app.web.schemas.base import Confirm, Empty, Page, Paging
from app.web.schemas.build import BuildAnswer, ManualBuildForm
from app.web.schemas.build_service import (
    BuildServiceAnswer,
    BuildServiceForm,
    BuildServicePatch,
)
from app.web.schemas.drafts import service_draft
from app.web.schemas.job import GitAnswer
from app.web.scope import project_of


def list_services(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: build_services.page(tx, project.id, limit, before),
            lambda found: [_answer(project, each) for each in found],
        )


def create_service(ctx: ApiContext[BuildServiceForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        service = commands.define_service(
            tx, project, service_draft(ctx.body), vault=ctx.server.vault, ours=ctx.server.ours, now=ctx.now
        )
        return _answer(project, service)


def show_service(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        return _answer(project, _service_of(ctx, tx, project))


def change_service(ctx: ApiContext[BuildServicePatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        service = _service_of(ctx, tx, project)
        draft = patched_service(service, ctx.body.root, ctx.server)
        changed = commands.change_service(
            tx, project, service, draft, vault=ctx.server.vault, ours=ctx.server.ours
        )
        return _answer(project, changed)


def delete_service(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        service = _service_of(ctx, tx, project_of(ctx, tx))
        confirmed(ctx, service.name)
        build_services.delete(tx, service)


def list_service_builds(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        service = _service_of(ctx, tx, project_of(ctx, tx))
        return paged(
            ctx,
            lambda limit, before: builds.page(tx, limit=limit, before=before, source_id=service.id),
            lambda found: build_answers(tx, found),
        )


def create_service_build(ctx: ApiContext[ManualBuildForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        service = _service_of(ctx, tx, project_of(ctx, tx))

        def make() -> BuildAnswer:
            build_id = request_build_of_source(
                tx,
                service.source,
                jobs.of_source(tx, service.id),
                sha=ctx.body.sha,
                branch=ctx.body.ref,
                who=ctx.who,
                now=ctx.now,
                vault=ctx.server.vault,
            )
            return build_answers(tx, [builds.with_id(tx, build_id)])[0]

        return once(ctx, tx, make)


def _service_of(ctx: ApiContext[Any, Any], tx: Tx, project: Project) -> BuildService:
    name = ctx.path("s")
    return look_up(ctx, f"build service {name}", lambda: build_services.named(tx, project.id, name))


def _answer(project: Project, service: BuildService) -> BuildServiceAnswer:
    form = shown_service(service)
    has_secret = service.source.webhook_secret is not None
    return BuildServiceAnswer(
        **{**form, "git": GitAnswer(**form["git"], has_webhook_secret=has_secret)},
        id=service.id,
        project=project.name,
        jobs=list(service.jobs),
        created_at=service.created_at,
    )


PATH = "/projects/{p}/build-services"
OPERATIONS = (
    Operation(
        "GET",
        PATH,
        "List a project's build services",
        list_services,
        query=Paging,
        answer=Page[BuildServiceAnswer],
    ),
    Operation(
        "POST",
        PATH,
        "Make a build service",
        create_service,
        Right.CHANGE,
        body=BuildServiceForm,
        answer=BuildServiceAnswer,
        status=201,
    ),
    Operation("GET", PATH + "/{s}", "Show a build service", show_service, answer=BuildServiceAnswer),
    Operation(
        "PATCH",
        PATH + "/{s}",
        "Change a build service; that builds nothing by itself",
        change_service,
        Right.CHANGE,
        body=BuildServicePatch,
        answer=BuildServiceAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{s}",
        "Delete a build service that no job uses",
        delete_service,
        Right.CHANGE,
        query=Confirm,
        status=204,
    ),
    Operation(
        "GET",
        PATH + "/{s}/builds",
        "List a build service's builds",
        list_service_builds,
        query=Paging,
        answer=Page[BuildAnswer],
    ),
    Operation(
        "POST",
        PATH + "/{s}/builds",
        "Start a manual build for all jobs of a build service, whatever the rules for pushes say",
        create_service_build,
        Right.RUN,
        body=ManualBuildForm,
        answer=BuildAnswer,
        status=202,
        idempotent=True,
    ),
)
