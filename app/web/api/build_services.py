"""Build services: define, change, build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.commands.builds import request_build_of_source
from app.domain.errors import require_consistent
from app.domain.principals import Role
from app.store import build_services, builds, jobs
from app.store.build_services import BuildService
from app.store.database import Tx
from app.store.jobs import SourceFields
from app.store.projects import Project
from app.web.api.builds import build_answers
from app.web.api.definitions import (
    build_fields,
    check_build,
    git_fields,
    merge_patch,
    require_changeable,
    require_usable_build,
)
from app.web.api.idempotency import once
from app.web.api.operations import ApiContext, Operation
from app.web.api.scope import confirmed, paged, project_of, within
from app.web.reading import read_value
from app.web.schemas.base import Confirm, Empty, Page, Paging
from app.web.schemas.build import BuildAnswer, ManualBuildForm
from app.web.schemas.build_service import (
    READ_ONLY,
    BuildServiceAnswer,
    BuildServiceForm,
    BuildServicePatch,
)
from app.web.schemas.job import GitAnswer
from app.web.server_context import ServerContext


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
        project = project_of(ctx, tx, Role.OPERATOR)
        return _answer(project, define(tx, ctx.server, project, ctx.body))


def show_service(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        return _answer(project, _service_of(ctx, tx, project))


def change_service(ctx: ApiContext[BuildServicePatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        service = _service_of(ctx, tx, project, Role.OPERATOR)
        return _answer(project, redefine(tx, ctx.server, project, service, ctx.body.root))


def delete_service(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        service = _service_of(ctx, tx, project_of(ctx, tx), Role.OPERATOR)
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
        service = _service_of(ctx, tx, project_of(ctx, tx), Role.OPERATOR)

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


def _service_of(
    ctx: ApiContext[Any, Any], tx: Tx, project: Project, role: Role = Role.VIEWER
) -> BuildService:
    name = ctx.path("s")
    return within(ctx, role, f"build service {name}", lambda: build_services.named(tx, project.id, name))


def define(tx: Tx, server: ServerContext, project: Project, form: BuildServiceForm) -> BuildService:
    """A new build service. Raises Contradictions, InvalidValue or Conflict, and then nothing is made."""
    fields = _fields(tx, server, project, form, None)
    return build_services.create(tx, project.id, form.name, fields, server.clock.now())


def redefine(
    tx: Tx, server: ServerContext, project: Project, service: BuildService, patch: Mapping[str, Any]
) -> BuildService:
    """The service with a patch merged in. Raises Contradictions, ValidationError or InvalidValue, and then it stays."""
    require_changeable(patch, service.name, READ_ONLY)
    form = read_value(BuildServiceForm, merge_patch(form_of(service), patch), server)
    return build_services.change(tx, service, _fields(tx, server, project, form, service))


def _fields(
    tx: Tx, server: ServerContext, project: Project, form: BuildServiceForm, kept: BuildService | None
) -> SourceFields:
    require_consistent(check_build(form.build, "build"))
    require_usable_build(tx, server, project, form.build, "build")
    stored = None if kept is None else kept.source.webhook_secret
    return {
        **git_fields(tx, server, project, form.git, stored, "git"),
        "build": build_fields(form.build, submodules=form.git.submodules, lfs=form.git.lfs),
        "ci_enabled": form.ci_enabled,
        "builds_in_flight": form.builds_in_flight,
    }


def form_of(service: BuildService) -> dict[str, Any]:
    """What is stored as it could be given again; the webhook secret is left out, which keeps it."""
    source, build = service.source, service.source.build.to_json()
    contents = {name: build.pop(name) for name in ("submodules", "lfs")}
    return {
        "name": service.name,
        "git": {"url": source.url, "branch": source.branch, "credential": service.credential, **contents},
        "build": build,
        "ci_enabled": source.ci_enabled,
        "builds_in_flight": source.builds_in_flight,
    }


def _answer(project: Project, service: BuildService) -> BuildServiceAnswer:
    form = form_of(service)
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
        Role.OPERATOR,
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
        Role.OPERATOR,
        body=BuildServicePatch,
        answer=BuildServiceAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{s}",
        "Delete a build service that no job uses",
        delete_service,
        Role.OPERATOR,
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
        Role.OPERATOR,
        body=ManualBuildForm,
        answer=BuildAnswer,
        status=202,
        idempotent=True,
    ),
)
