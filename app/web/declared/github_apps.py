"""GitHub Apps of a project, declared."""

from __future__ import annotations

from collections.abc import Sequence

from app.commands import github_apps as commands
from app.commands.credentials import remove_credential
from app.domain.documents import Json
from app.domain.principals import Right
from app.store import github_apps
from app.store.database import Tx
from app.store.github_apps import GithubApp
from app.store.projects import Project
from app.web.declared.kinds import Kind, Scene, or_none
from app.web.reading import read_value
from app.web.schemas.github_app import GithubAppForm, GithubAppPatch

OF_PATCH = ("private_key", "webhook_secret")


def _app(tx: Tx, project: Project, name: str) -> GithubApp | None:
    return or_none(lambda: github_apps.named(tx, project.id, name))


def _names(tx: Tx, project: Project) -> list[str]:
    return [each.name for each in github_apps.of_project(tx, project.id)]


def _shown(tx: Tx, project: Project, name: str) -> Json | None:
    found = _app(tx, project, name)
    if found is None:
        return None
    return {
        "name": name,
        "host": found.credential.host,
        "app_id": found.app_id,
        "api_url": found.api_url,
        "private_key": None,
        "webhook_secret": None,
    }


def _save(tx: Tx, scene: Scene, project: Project, fields: Json) -> Sequence[str]:
    """A secret that is null is the stored one; a new App needs its private key."""
    given = {name: value for name, value in fields.items() if value is not None}
    known = _app(tx, project, fields["name"])
    if known is None:
        form = read_value(GithubAppForm, given, scene.rules)
        commands.define_app(tx, scene.vault, project, form.draft(), scene.now)
        return ()
    commands.require_same(known, given)
    patch = read_value(GithubAppPatch, {name: given[name] for name in OF_PATCH if name in given}, scene.rules)
    commands.change_app(tx, scene.vault, known, patch.change())
    return ()


def _remove(tx: Tx, _scene: Scene, project: Project, name: str) -> None:
    remove_credential(tx, github_apps.named(tx, project.id, name).credential)


GITHUB_APPS = Kind("github_apps", "GitHub App", Right.SECRETS, GithubAppForm, _names, _shown, _save, _remove)
