"""Notification targets as a file declares them: whom they are told, but for the address."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from app.commands import notification_targets as commands
from app.domain.documents import Json
from app.domain.errors import InvalidValue
from app.domain.principals import Right
from app.store import notification_targets
from app.store.database import Tx
from app.store.notification_targets import Target
from app.store.projects import Project
from app.web.declared.kinds import PAGE, Kind, Scene, all_of, or_none
from app.web.reading import read_value
from app.web.schemas.notification_target import TargetForm, TargetPatch

SIGNED_UNSEEN = (
    "What it is sent is signed by a secret that was made now and is shown nowhere: give its address once more with one"
    " of yours behind it, as #whsec_…"
)


def _target(tx: Tx, project: Project, name: str) -> Target | None:
    return or_none(lambda: notification_targets.named(tx, project.id, name))


def _names(tx: Tx, project: Project) -> list[str]:
    return [each.name for each in all_of(partial(notification_targets.page, tx, project.id, PAGE))]


def _shown(tx: Tx, project: Project, name: str) -> Json | None:
    found = _target(tx, project, name)
    if found is None:
        return None
    return {
        "name": name,
        "kind": found.kind.value,
        "address": None,
        "on": [rule.value for rule in found.on],
        "jobs": list(found.jobs),
        "absence_hours": found.absence_hours,
    }


def _save(tx: Tx, scene: Scene, project: Project, fields: Json) -> Sequence[str]:
    """An address that is null is the stored one; a new target needs one."""
    given = {name: value for name, value in fields.items() if name != "address" or value is not None}
    known = _target(tx, project, fields["name"])
    if known is None:
        form = read_value(TargetForm, given, scene.rules)
        defined = commands.define_target(tx, scene.vault, project, form.draft(), scene.now)
    else:
        patch = read_value(TargetPatch, given, scene.rules)
        if patch.kind not in (None, known.kind):
            raise InvalidValue("kind", f"kind can't be changed: it stays {known.kind}.")
        defined = commands.change_target(tx, scene.vault, project, known, patch.draft(known))
    return () if defined.signing_secret is None else (f"{SIGNED_UNSEEN}.",)


def _remove(tx: Tx, _scene: Scene, project: Project, name: str) -> None:
    notification_targets.delete(tx, notification_targets.named(tx, project.id, name))


TARGETS = Kind(
    "notification_targets",
    "notification target",
    Right.SECRETS,
    TargetForm,
    _names,
    _shown,
    _save,
    _remove,
)
