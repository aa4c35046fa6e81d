"""`/projects/{p}/build-services`: make, change and delete what several jobs are built from, by the API's own rules."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands import build_services as commands
from app.commands.detection import Detected
from app.domain.documents import Json
from app.domain.errors import UserError
from app.domain.job.codec import source_to_json
from app.domain.job.drafts import BuildServiceDraft
from app.domain.job.spec import GitSource
from app.domain.principals import Right
from app.store import build_services, builds, credentials
from app.store.build_services import BuildService
from app.store.database import Tx
from app.store.projects import Project
from app.web.pages import projects
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.detection_preview import look
from app.web.pages.form_errors import placed, refused, require_named
from app.web.pages.form_fields import BUILD, GIT, Fields, below, patch_of, texts
from app.web.pages.form_versions import require_unchanged, version_of
from app.web.patching import patched_service, shown_service
from app.web.problems import Problem
from app.web.reach import look_up
from app.web.reading import read_value
from app.web.schemas.build_service import BuildServiceForm
from app.web.schemas.drafts import service_draft
from app.web.scope import project_of
from app.web.texts import SWITCH, TEXT

FIELDS: Fields = {
    "ci_enabled": SWITCH,
    "config_file": SWITCH,
    "builds_in_flight": TEXT,
    **below("git", GIT),
    **below("build", BUILD),
}
BUILDS = 8
MANY = 200


def service_of(ctx: PageContext, tx: Tx) -> BuildService:
    project, name = project_of(ctx, tx), ctx.path("service")
    return look_up(ctx, f"build service {name}", lambda: build_services.named(tx, project.id, name))


def address(project: Project, service: BuildService) -> str:
    return f"{projects.address(project)}/build-services/{service.name}"


def blank() -> Json:
    """A build service that nothing is said of yet, with the API's defaults."""
    draft = BuildServiceDraft("", GitSource(url=""))
    parts = source_to_json(draft.git)
    switches = {
        "ci_enabled": draft.ci_enabled,
        "config_file": draft.config_file,
        "builds_in_flight": draft.builds_in_flight.value,
    }
    return {"git": parts["git"], "build": parts["build"], **switches}


def show_new(ctx: PageContext) -> Response:
    return _page(ctx, None, texts(blank(), FIELDS))


def make_service(ctx: PageContext) -> Response:
    given = _typed(ctx)
    body = {**patch_of(blank(), FIELDS, given), "name": given.get("name", "").strip()}
    try:
        if ctx.field("look"):
            return _page(ctx, None, given, seen=look(ctx, ctx.path("project"), body, ""))
        form = read_value(BuildServiceForm, body, ctx.server)
        with ctx.server.db.write() as tx:
            project = project_of(ctx, tx)
            service = commands.define_service(
                tx, project, service_draft(form), vault=ctx.server.vault, ours=ctx.server.ours, now=ctx.now
            )
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, None, given, problem=refused(error))
    return see(f"{address(project, service)}?saved=1")


def show_service(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        service = service_of(ctx, tx)
    return _page(ctx, service, texts(shown_service(service), FIELDS))


def save_service(ctx: PageContext) -> Response:
    given = _typed(ctx)
    with ctx.server.db.read() as tx:
        service = service_of(ctx, tx)
    try:
        if ctx.field("look"):
            patch = patch_of(shown_service(service), FIELDS, given)
            return _page(ctx, service, given, seen=look(ctx, ctx.path("project"), patch, ""))
        with ctx.server.db.write() as tx:
            project, now = project_of(ctx, tx), service_of(ctx, tx)
            require_unchanged(ctx, shown_service(now), f"build service {now.name}")
            patch = patch_of(shown_service(now), FIELDS, given)
            commands.change_service(
                tx,
                project,
                now,
                patched_service(now, patch, ctx.server),
                vault=ctx.server.vault,
                ours=ctx.server.ours,
            )
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, service, given, problem=refused(error))
    return see(f"{address(project, service)}?saved=1")


def delete_service(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        project, service = project_of(ctx, tx), service_of(ctx, tx)
    try:
        require_named(ctx, service.name, "build service")
        with ctx.server.db.write() as tx:
            build_services.delete(tx, service_of(ctx, tx))
    except UserError as error:
        return _page(ctx, service, texts(shown_service(service), FIELDS), undeleted=refused(error))
    return see(projects.address(project))


def _typed(ctx: PageContext) -> dict[str, str]:
    return {name: ctx.field(name) for name in ctx.form}


def _page(
    ctx: PageContext,
    service: BuildService | None,
    given: Mapping[str, str],
    *,
    problem: Problem | None = None,
    undeleted: Problem | None = None,
    seen: Detected | None = None,
) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        known = credentials.page(tx, project.id, MANY)
        made = builds.page(tx, limit=BUILDS, source_id=service.id) if service else []
        seen_as = version_of(shown_service(service_of(ctx, tx))) if service else ""
    errors, left = placed(problem, frozenset({*FIELDS, "name"}))
    said = problem or undeleted
    return ctx.page(
        "build_service.html",
        200 if said is None else said.status,
        project=project,
        service=service,
        seen_as=seen_as,
        action=address(project, service) if service else f"{projects.address(project)}/build-services",
        given=given,
        errors=errors,
        left=left,
        saved=bool(ctx.query("saved")),
        retype=["git.webhook_secret"] if given.get("git.webhook_secret") else [],
        undeleted="" if undeleted is None else undeleted.detail,
        git_credentials=[(each.name, each.name) for each in known if each.kind != "registry"],
        builds=made,
        seen=seen,
    )


def routes() -> list[Route]:
    path = "/projects/{project}/build-services"
    return [
        get(path, show_new, Right.CHANGE),
        post(path, make_service, Right.CHANGE),
        get(f"{path}/{{service}}", show_service, Right.CHANGE),
        post(f"{path}/{{service}}", save_service, Right.CHANGE),
        post(f"{path}/{{service}}/delete", delete_service, Right.CHANGE),
    ]
