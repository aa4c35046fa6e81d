"""Projects, as people define and change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.runtime.ports import WEBHOOK_PURPOSE, Vault
from app.store import projects, quotas
from app.store.database import Tx
from app.store.projects import Project


def define_project(
    tx: Tx,
    vault: Vault,
    name: str,
    webhook_secret: str | None,
    now: datetime,
    limits: Mapping[str, float | None] | None = None,
) -> Project:
    """Make a project. Raises Conflict if the name is taken."""
    made = projects.create(tx, name, _sealed(vault, webhook_secret), now)
    return change_project(tx, vault, made, limits=limits)


def change_project(
    tx: Tx,
    vault: Vault,
    project: Project,
    webhook_secret: str | None = None,
    limits: Mapping[str, float | None] | None = None,
    hardening: Mapping[str, Any] | None = None,
) -> Project:
    """Change what is given; fields of `hardening` that are left out stay.

    None leaves the secret as it is; of a limit, None takes the server's again.
    """
    sealed = _sealed(vault, webhook_secret)
    if sealed is not None:
        projects.set_webhook_secret(tx, project.id, sealed)
    if hardening:
        projects.set_hardening(tx, project.id, replace(project.hardening, **hardening))
    if limits:
        quotas.set_own(tx, project.id, limits)
    return projects.with_id(tx, project.id)


def _sealed(vault: Vault, secret: str | None) -> str | None:
    return None if secret is None else vault.seal(secret, WEBHOOK_PURPOSE)
