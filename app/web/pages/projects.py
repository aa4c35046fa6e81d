"""`/projects`, and `/projects/{p}`: what is in a project, what its jobs share, and where its pushes arrive."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.domain.errors import UserError
from app.store import (
    apps,
    build_services,
    comparisons,
    credentials,
    flows,
    jobs,
    pipelines,
    projects,
    secret_groups,
)
from app.store.database import Tx
from app.store.projects import Project
from app.web.api.projects import ProjectForm, ProjectPatch, define, redefine
from app.web.api.reading import read_value
from app.web.pages.refusals import placed, refused, require_named
from app.web.pages.visit import Visit, get, post, see
from app.web.principal import Role
from app.web.problems import Problem

PROJECTS = 50
JOBS = 100
MANY = 200
COMPARED = 20
NEW = frozenset({"name", "webhook_secret"})


def project_of(tx: Tx, visit: Visit) -> Project:
    return projects.named(tx, visit.path("project"))


def address(project: Project) -> str:
    return f"/projects/{project.name}"


def show_projects(visit: Visit) -> Response:
    return _list(visit)


def make_project(visit: Visit) -> Response:
    body = {"name": visit.field("name").strip(), "webhook_secret": visit.field("webhook_secret") or None}
    try:
        form = read_value(ProjectForm, body, visit.yard)
        with visit.yard.db.write() as tx:
            project = define(tx, visit.yard, form)
    except (UserError, Problem, ValidationError) as error:
        return _list(visit, refused(error))
    return see(address(project))


def _list(visit: Visit, problem: Problem | None = None) -> Response:
    with visit.yard.db.read() as tx:
        found = projects.page(tx, PROJECTS + 1, visit.number("before"))
    errors, left = placed(problem, NEW)
    return visit.page(
        "projects.html",
        200 if problem is None else problem.status,
        projects=found[:PROJECTS],
        more=found[PROJECTS - 1].id if len(found) > PROJECTS else None,
        given={"name": visit.field("name")},
        errors=errors,
        left=left,
        retype=["webhook_secret"] if visit.field("webhook_secret") else [],
    )


def show_project(visit: Visit) -> Response:
    return _project(visit)


def set_webhook_secret(visit: Visit) -> Response:
    try:
        patch = read_value(ProjectPatch, {"webhook_secret": visit.field("webhook_secret")}, visit.yard)
        with visit.yard.db.write() as tx:
            project = redefine(tx, visit.yard, project_of(tx, visit), patch)
    except (UserError, Problem, ValidationError) as error:
        return _project(visit, problem=refused(error))
    return see(f"{address(project)}?saved=1#webhook")


def delete_project(visit: Visit) -> Response:
    with visit.yard.db.read() as tx:
        project = project_of(tx, visit)
    try:
        require_named(visit, project.name, "project")
        with visit.yard.db.write() as tx:
            projects.delete(tx, project_of(tx, visit).id)
    except UserError as error:
        return _project(visit, undeleted=refused(error))
    return see("/projects")


def _project(visit: Visit, *, problem: Problem | None = None, undeleted: Problem | None = None) -> Response:
    with visit.yard.db.read() as tx:
        project = project_of(tx, visit)
        found = jobs.page(tx, project_id=project.id, limit=JOBS + 1, before=visit.number("before"))
        shared = {
            "parts": apps.parts_of(tx, [job.id for job in found]),
            "services": build_services.page(tx, project.id, MANY),
            "groups": secret_groups.page(tx, project.id, MANY),
            "credentials": credentials.page(tx, project.id, MANY),
            "pipelines": pipelines.page(tx, project_id=project.id, limit=MANY),
            "apps": apps.page(tx, project_id=project.id, limit=MANY),
            "flows": flows.page(tx, project_id=project.id, limit=MANY),
            "unknown": projects.unknown_repositories(tx, project.id),
            "compared": comparisons.of_project(tx, project.id, COMPARED),
        }
    errors, left = placed(problem, NEW)
    said = problem or undeleted
    return visit.page(
        "project.html",
        200 if said is None else said.status,
        project=project,
        address=address(project),
        jobs=sorted(found[:JOBS], key=lambda job: job.name),
        more=found[JOBS - 1].id if len(found) > JOBS else None,
        saved=bool(visit.query("saved")),
        webhook_url=f"{visit.address}/webhooks/github",
        given={},
        errors=errors,
        left=left,
        undeleted="" if undeleted is None else undeleted.detail,
        **shared,
    )


def routes() -> list[Route]:
    return [
        get("/projects", show_projects),
        post("/projects", make_project, Role.ADMIN),
        get("/projects/{project}", show_project),
        post("/projects/{project}/webhook-secret", set_webhook_secret, Role.ADMIN),
        post("/projects/{project}/delete", delete_project, Role.ADMIN),
    ]
