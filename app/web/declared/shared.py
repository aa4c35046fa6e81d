"""What the jobs of a project share: credentials, build services and secret groups."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from app.commands import build_services as service_commands
from app.commands import credentials as credential_commands
from app.commands import secret_groups as group_commands
from app.commands.variables import unmasked
from app.domain.documents import Json
from app.domain.principals import Right
from app.store import build_services, credentials, github_apps, secret_groups
from app.store.build_services import BuildService
from app.store.database import Tx
from app.store.projects import Project
from app.store.secret_groups import SecretGroup
from app.web.declared.kinds import PAGE, Kind, Scene, all_of, or_none
from app.web.patching import patched_group, patched_service, shown_service
from app.web.reading import read_value
from app.web.schemas.build_service import BuildServiceForm
from app.web.schemas.credential import CredentialForm, CredentialPatch
from app.web.schemas.drafts import service_draft
from app.web.schemas.secret_group import SecretGroupForm, shown_group


def _credential_names(tx: Tx, project: Project) -> list[str]:
    known = all_of(partial(credentials.page, tx, project.id, PAGE))
    return [each.name for each in known if each.kind != github_apps.KIND]


def _shown_credential(tx: Tx, project: Project, name: str) -> Json | None:
    found = credentials.find(tx, project.id, name)
    if found is None or found.kind == github_apps.KIND:
        return None
    pinned = {"host_keys": [str(key) for key in found.host_keys]} if found.host_keys else {}
    return {
        "name": name,
        "kind": found.kind,
        "host": found.host,
        "username": found.username,
        "secret": None,
        "ssh_key": found.public_key is not None,  # without its secret, another server makes one
        **pinned,
        "api_url": found.api_url,
        "forge": found.forge,
    }


def _save_credential(tx: Tx, scene: Scene, project: Project, fields: Json) -> Sequence[str]:
    """A secret that is null is the stored one; a new credential needs one."""
    given = {name: value for name, value in fields.items() if value is not None}
    known = credentials.find(tx, project.id, fields["name"])
    if known is None:
        draft = read_value(CredentialForm, given, scene.rules).draft()
        credential_commands.define_credential(tx, scene.vault, project, draft, scene.now)
    else:
        change = read_value(CredentialPatch, given, scene.rules).change()
        credential_commands.change_credential(tx, scene.vault, known, change, scene.now)
    return ()


def _remove_credential(tx: Tx, _scene: Scene, project: Project, name: str) -> None:
    credential_commands.remove_credential(tx, credentials.named(tx, project.id, name))


def _service(tx: Tx, project: Project, name: str) -> BuildService | None:
    return or_none(lambda: build_services.named(tx, project.id, name))


def _service_names(tx: Tx, project: Project) -> list[str]:
    return [each.name for each in all_of(partial(build_services.page, tx, project.id, PAGE))]


def _shown_service(tx: Tx, project: Project, name: str) -> Json | None:
    found = _service(tx, project, name)
    return None if found is None else shown_service(found)


def _save_service(tx: Tx, scene: Scene, project: Project, fields: Json) -> Sequence[str]:
    known = _service(tx, project, fields["name"])
    if known is None:
        draft = service_draft(read_value(BuildServiceForm, fields, scene.rules))
        service_commands.define_service(tx, project, draft, vault=scene.vault, ours=scene.ours, now=scene.now)
    else:
        draft = patched_service(known, fields, scene.rules)
        service_commands.change_service(tx, project, known, draft, vault=scene.vault, ours=scene.ours)
    return ()


def _remove_service(tx: Tx, _scene: Scene, project: Project, name: str) -> None:
    build_services.delete(tx, build_services.named(tx, project.id, name))


def _group(tx: Tx, project: Project, name: str) -> SecretGroup | None:
    return or_none(lambda: secret_groups.named(tx, project.id, name))


def _group_names(tx: Tx, project: Project) -> list[str]:
    return [each.name for each in all_of(partial(secret_groups.page, tx, project.id, PAGE))]


def _shown_group(tx: Tx, project: Project, name: str) -> Json | None:
    found = _group(tx, project, name)
    return None if found is None else shown_group(found)


def _save_group(tx: Tx, scene: Scene, project: Project, fields: Json) -> Sequence[str]:
    known = _group(tx, project, fields["name"])
    if known is None:
        draft = read_value(SecretGroupForm, fields, scene.rules).draft()
        saved = group_commands.define_group(
            tx, project, draft, vault=scene.vault, ours=scene.ours, now=scene.now
        )
    else:
        draft = patched_group(known, fields, scene.rules)
        saved = group_commands.change_group(tx, project, known, draft, vault=scene.vault, ours=scene.ours)
    return unmasked(saved.env, scene.vault, project.id)


def _remove_group(tx: Tx, _scene: Scene, project: Project, name: str) -> None:
    secret_groups.delete(tx, secret_groups.named(tx, project.id, name))


CREDENTIALS = Kind(
    "credentials",
    "credential",
    Right.SECRETS,
    CredentialForm,
    _credential_names,
    _shown_credential,
    _save_credential,
    _remove_credential,
)
BUILD_SERVICES = Kind(
    "build_services",
    "build service",
    Right.CHANGE,
    BuildServiceForm,
    _service_names,
    _shown_service,
    _save_service,
    _remove_service,
)
SECRET_GROUPS = Kind(
    "secret_groups",
    "secret group",
    Right.SECRETS,
    SecretGroupForm,
    _group_names,
    _shown_group,
    _save_group,
    _remove_group,
)
