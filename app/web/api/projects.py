"""Projects."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.runtime.ports import WEBHOOK_PURPOSE
from app.store import projects
from app.store.database import Tx
from app.store.projects import Project
from app.web.api.forms.fields import Name, Time, WebhookSecret
from app.web.api.operations import Call, Confirm, Empty, Model, Operation, Page, Paging, with_example
from app.web.api.scope import confirmed, paged, project_of
from app.web.principal import Role
from app.web.yard import Yard


class ProjectForm(Model):
    """A namespace; its webhook secret speaks for all its repositories."""

    model_config = with_example({"name": "acme", "webhook_secret": "a long random text"})

    name: Name
    webhook_secret: WebhookSecret | None = Field(default=None, repr=False, description="write-only")


class ProjectPatch(Model):
    model_config = with_example({"webhook_secret": "another random text"})

    webhook_secret: WebhookSecret | None = Field(
        default=None, repr=False, description="write-only; left out or null keeps the stored one"
    )


class ProjectAnswer(Model):
    id: int
    name: str
    webhook_secret: None = None
    has_webhook_secret: bool
    created_at: Time


def list_projects(call: Call[Empty, Paging]) -> Any:
    only = call.principal.project_id
    with call.yard.db.read() as tx:
        if only is not None:
            return {"items": [project_answer(projects.with_id(tx, only))], "next": None}
        return paged(
            call,
            lambda limit, before: projects.page(tx, limit, before),
            lambda found: [project_answer(each) for each in found],
        )


def create_project(call: Call[ProjectForm, Empty]) -> Any:
    call.require(Role.ADMIN)
    with call.yard.db.write() as tx:
        return project_answer(define(tx, call.yard, call.body))


def show_project(call: Call[Empty, Empty]) -> Any:
    with call.yard.db.read() as tx:
        return project_answer(project_of(call, tx))


def change_project(call: Call[ProjectPatch, Empty]) -> Any:
    with call.yard.db.write() as tx:
        project = project_of(call, tx, Role.ADMIN)
        return project_answer(redefine(tx, call.yard, project, call.body))


def delete_project(call: Call[Empty, Confirm]) -> None:
    with call.yard.db.write() as tx:
        project = project_of(call, tx, Role.ADMIN)
        call.require(Role.ADMIN)
        confirmed(call, project.name)
        projects.delete(tx, project.id)


def define(tx: Tx, yard: Yard, form: ProjectForm) -> Project:
    """A new project. Raises Conflict if the name is taken."""
    return projects.create(tx, form.name, _sealed(yard, form.webhook_secret), yard.clock.now())


def redefine(tx: Tx, yard: Yard, project: Project, patch: ProjectPatch) -> Project:
    """The project with what is given changed."""
    sealed = _sealed(yard, patch.webhook_secret)
    if sealed is not None:
        projects.set_webhook_secret(tx, project.id, sealed)
    return projects.with_id(tx, project.id)


def project_answer(project: Project) -> ProjectAnswer:
    return ProjectAnswer(
        id=project.id,
        name=project.name,
        has_webhook_secret=project.webhook_secret is not None,
        created_at=project.created_at,
    )


def _sealed(yard: Yard, secret: str | None) -> str | None:
    return None if secret is None else yard.vault.seal(secret, WEBHOOK_PURPOSE)


PATH = "/projects"
OPERATIONS = (
    Operation("GET", PATH, "List projects", list_projects, query=Paging, answer=Page[ProjectAnswer]),
    Operation(
        "POST",
        PATH,
        "Make a project",
        create_project,
        Role.ADMIN,
        body=ProjectForm,
        answer=ProjectAnswer,
        status=201,
    ),
    Operation("GET", PATH + "/{p}", "Show a project", show_project, answer=ProjectAnswer),
    Operation(
        "PATCH",
        PATH + "/{p}",
        "Change a project",
        change_project,
        Role.ADMIN,
        body=ProjectPatch,
        answer=ProjectAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{p}",
        "Delete a project without jobs, with its history",
        delete_project,
        Role.ADMIN,
        query=Confirm,
        status=204,
    ),
)
