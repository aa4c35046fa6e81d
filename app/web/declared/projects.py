"""The settings of a project itself, which make it where there is none."""

from __future__ import annotations

from dataclasses import asdict

from app.commands.projects import change_project, define_project, set_generic_webhook
from app.domain.documents import Json
from app.domain.generic_webhooks import webhook_to_json
from app.domain.principals import Right
from app.store.database import Tx
from app.store.projects import Project
from app.web.declared.kinds import Scene
from app.web.reading import read_value
from app.web.schemas.project import LimitsForm, ProjectForm, ProjectPatch


def shown_settings(project: Project) -> Json:
    """The settings as they could be given again; null is the server's own limit."""
    hardening = asdict(project.hardening)
    return {
        "public": project.public,
        "commit_statuses": str(project.commit_statuses),
        "generic_webhook": None
        if project.generic_webhook is None
        else {
            name: value for name, value in webhook_to_json(project.generic_webhook).items() if name != "id"
        },
        "limits": LimitsForm.model_validate(project.limits).model_dump(),
        "hardening": {**hardening, "network": project.hardening.network.value},
    }


def save_settings(tx: Tx, scene: Scene, name: str, project: Project | None, fields: Json) -> Project:
    """Make the project, or change what is given of it. Limits and hardening are for who may make projects."""
    form = read_value(ProjectPatch, fields, scene.rules)
    limits, hardening = form.limits.given, form.hardening.given
    if project is None:
        scene.require(Right.PROJECTS, None)
        made = read_value(ProjectForm, {"name": name}, scene.rules)
        project = define_project(tx, scene.vault, made.name, form.webhook_secret, scene.now, limits)
        project = change_project(
            tx, scene.vault, project, hardening=hardening, public=form.public, statuses=form.commit_statuses
        )
        return _with_webhook(tx, project, form)
    scene.require(Right.SECRETS, project.id)
    shown = shown_settings(project)
    limits = {each: value for each, value in limits.items() if value != shown["limits"][each]}
    hardening = {each: value for each, value in hardening.items() if value != shown["hardening"][each]}
    if limits or hardening:
        scene.require(Right.PROJECTS, None)
    public, statuses = form.public, form.commit_statuses
    project = change_project(
        tx, scene.vault, project, form.webhook_secret, limits, hardening, public, statuses
    )
    return _with_webhook(tx, project, form)


def _with_webhook(tx: Tx, project: Project, form: ProjectPatch) -> Project:
    if "generic_webhook" not in form.model_fields_set:
        return project
    given = form.generic_webhook
    return set_generic_webhook(tx, project, given.webhook if given else None)
