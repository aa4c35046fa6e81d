"""`/projects`, and `/projects/{p}`: what is in a project, what its jobs share, and where its pushes arrive."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands import projects as commands
from app.commands.projects import change_project, define_project
from app.commands.sources import guessable
from app.domain.errors import UserError
from app.domain.generic_webhooks import GenericWebhook, webhook_to_json
from app.domain.job.spec import HARDENING_WORDS
from app.domain.principals import Right
from app.domain.quotas import NAMES
from app.domain.sealing import of_project_hook
from app.store import (
    apps,
    build_services,
    comparisons,
    credentials,
    flows,
    kept_logs,
    notification_targets,
    pipelines,
    projects,
    quotas,
    secret_groups,
)
from app.store.credentials import Credential
from app.store.projects import Project
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.first_steps import first_steps
from app.web.pages.form_errors import placed, refused, require_named
from app.web.pages.job_rows import ORDER_NAMES, JobRow, asked_of, list_jobs
from app.web.pages.publicity import snippets
from app.web.problems import Problem
from app.web.reading import read_value
from app.web.schemas.project import ProjectForm, ProjectPatch
from app.web.schemas.repository_hook import hooks_answer
from app.web.scope import project_of
from app.web.texts import OPTIONAL, OPTIONAL_DECIMAL
from app.web.webhook_places import WebhookPlace, host_of, webhook_places

PROJECTS = 50
MANY = 200
COMPARED = 20
NEW = frozenset({"name", "webhook_secret"})
GENERIC = ("proof", "header", "ref", "sha", "before", "repository")
LIMITS = frozenset(
    [*(f"limits.{name}" for name in NAMES), *(f"hardening.{name}" for name in HARDENING_WORDS)]
)


def address(project: Project) -> str:
    return f"/projects/{project.name}"


def show_projects(ctx: PageContext) -> Response:
    return _list(ctx)


def make_project(ctx: PageContext) -> Response:
    body = {"name": ctx.field("name").strip(), "webhook_secret": ctx.field("webhook_secret") or None}
    try:
        form = read_value(ProjectForm, body, ctx.server)
        with ctx.server.db.write() as tx:
            project = define_project(tx, ctx.server.vault, form.name, form.webhook_secret, ctx.now)
    except (UserError, Problem, ValidationError) as error:
        return _list(ctx, refused(error))
    return see(address(project))


def _list(ctx: PageContext, problem: Problem | None = None) -> Response:
    with ctx.server.db.read() as tx:
        found = projects.page(tx, PROJECTS + 1, ctx.number("before"), only=ctx.projects)
    errors, left = placed(problem, NEW)
    return ctx.page(
        "projects.html",
        200 if problem is None else problem.status,
        projects=found[:PROJECTS],
        more=found[PROJECTS - 1].id if len(found) > PROJECTS else None,
        given={"name": ctx.field("name")},
        errors=errors,
        left=left,
        retype=["webhook_secret"] if ctx.field("webhook_secret") else [],
    )


def show_project(ctx: PageContext) -> Response:
    return _project(ctx)


def set_webhook_secret(ctx: PageContext) -> Response:
    try:
        patch = read_value(ProjectPatch, {"webhook_secret": ctx.field("webhook_secret")}, ctx.server)
        with ctx.server.db.write() as tx:
            project = change_project(tx, ctx.server.vault, project_of(ctx, tx), patch.webhook_secret)
    except (UserError, Problem, ValidationError) as error:
        return _project(ctx, problem=refused(error))
    return see(f"{address(project)}?saved=1#webhook")


def show_refused(ctx: PageContext, problem: Problem) -> Response:
    """The page with what was wrong about one of its forms."""
    return _project(ctx, problem=problem)


def set_limits(ctx: PageContext) -> Response:
    try:
        body = {name: OPTIONAL_DECIMAL.read(ctx.field(f"limits.{name}")) for name in NAMES}
        held: dict[str, object] = {
            name: bool(ctx.field(f"hardening.{name}")) for name in ("non_root", "read_only")
        }
        held["network"] = "none" if ctx.field("hardening.network") else "default"
        patch = read_value(ProjectPatch, {"limits": body, "hardening": held}, ctx.server)
        limits, hardening = patch.limits.given, patch.hardening.given
        with ctx.server.db.write() as tx:
            project, vault = project_of(ctx, tx), ctx.server.vault
            project = change_project(tx, vault, project, limits=limits, hardening=hardening)
    except (UserError, Problem, ValidationError) as error:
        return _project(ctx, problem=refused(error))
    return see(f"{address(project)}?saved=limits#limits")


def set_generic_webhook(ctx: PageContext) -> Response:
    try:
        body = {name: OPTIONAL.read(ctx.field(f"generic_webhook.{name}")) for name in GENERIC}
        wanted = None if ctx.field("remove") else {name: value for name, value in body.items() if value}
        patch = read_value(ProjectPatch, {"generic_webhook": wanted}, ctx.server)
        with ctx.server.db.write() as tx:
            given, project = patch.generic_webhook, project_of(ctx, tx)
            project = commands.set_generic_webhook(tx, project, given.webhook if given else None)
    except (UserError, Problem, ValidationError) as error:
        return _project(ctx, problem=refused(error))
    return see(f"{address(project)}#generic")


def delete_project(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
    try:
        require_named(ctx, project.name, "project")
        with ctx.server.db.write() as tx:
            projects.delete(tx, project_of(ctx, tx).id)
    except UserError as error:
        return _project(ctx, undeleted=refused(error))
    return see("/projects")


def _project(
    ctx: PageContext, *, problem: Problem | None = None, undeleted: Problem | None = None
) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        listed = list_jobs(tx, ctx, asked_of(ctx, address(project)), project.id)
        of_pipelines = pipelines.page(tx, project_id=project.id, limit=MANY)
        known_credentials = credentials.page(tx, project.id, MANY)
        shared = {
            "services": build_services.page(tx, project.id, MANY),
            "groups": secret_groups.page(tx, project.id, MANY),
            "credentials": known_credentials,
            "pipelines": of_pipelines,
            "apps": apps.page(tx, project_id=project.id, limit=MANY),
            "flows": flows.page(tx, project_id=project.id, limit=MANY),
            "unknown": projects.unknown_repositories(tx, project.id),
            "compared": comparisons.of_project(tx, project.id, COMPARED),
            "told": notification_targets.of_project(tx, project.id),
            "steps": first_steps(tx, project),
            "hooks": hooks_answer(tx, ctx.server.inbox, project.id).model_dump(),
            "usages": quotas.usage_of(tx, project.id, kept_logs.total(tx, project.id)),
        }
    held = {f"hardening.{name}": "1" for name in project.hardening.asked}
    own = {"commit_statuses": str(project.commit_statuses)} | held
    own |= {f"limits.{name}": f"{value:g}" for name, value in project.limits.items()}
    errors, left = placed(problem, NEW | LIMITS | {f"generic_webhook.{name}" for name in GENERIC})
    said = problem or undeleted
    return ctx.page(
        "project.html",
        200 if said is None else said.status,
        project=project,
        address=address(project),
        listed=listed,
        order_names=ORDER_NAMES,
        saved=ctx.query("saved"),
        warnings=guessable(ctx.server.vault, project.webhook_secret, of_project_hook(project.id)),
        webhook_base=ctx.address,
        webhook_places=_places(listed.rows, known_credentials),
        given=own
        | _generic_texts(ctx, project, is_typed=problem is not None)
        | {name: ctx.field(name) for name in LIMITS if problem is not None},
        snippets=snippets(ctx.address, project, [row.job for row in listed.rows], of_pipelines)
        if project.public
        else [],
        errors=errors,
        left=left,
        undeleted="" if undeleted is None else undeleted.detail,
        **shared,
    )


def _generic_texts(ctx: PageContext, project: Project, *, is_typed: bool) -> dict[str, str]:
    """The texts of the generic webhook's form: what was typed, what is stored, or what would be."""
    shown = webhook_to_json(project.generic_webhook or GenericWebhook(""))
    stored = {f"generic_webhook.{name}": shown[name] or "" for name in GENERIC}
    typed = (
        {name: ctx.field(name) for name in stored} if is_typed and ctx.field("generic_webhook.ref") else {}
    )
    return {**stored, **typed}


def _places(rows: Sequence[JobRow], known: Sequence[Credential]) -> Sequence[WebhookPlace]:
    """The places of webhooks, first that of the repository of one of the jobs: they mostly are on one forge."""
    url = next((row.job.source.url for row in rows if row.job.source is not None), "")
    telling = {each.host: each for each in known if each.forge or each.api_url}
    return webhook_places(url, telling.get(host_of(url)))


def routes() -> list[Route]:
    return [
        get("/projects", show_projects),
        post("/projects", make_project, Right.PROJECTS),
        get("/projects/{project}", show_project),
        post("/projects/{project}/webhook-secret", set_webhook_secret, Right.SECRETS),
        post("/projects/{project}/generic-webhook", set_generic_webhook, Right.SECRETS),
        post("/projects/{project}/limits", set_limits, Right.PROJECTS),
        post("/projects/{project}/delete", delete_project, Right.PROJECTS),
    ]
