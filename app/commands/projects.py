"""Projects, as people define and change them."""

from __future__ import annotations

from datetime import datetime

from app.runtime.ports import WEBHOOK_PURPOSE, Vault
from app.store import projects
from app.store.database import Tx
from app.store.projects import Project


def define_project(tx: Tx, vault: Vault, name: str, webhook_secret: str | None, now: datetime) -> Project:
    """Make a project. Raises Conflict if the name is taken."""
    return projects.create(tx, name, _sealed(vault, webhook_secret), now)


def change_project(tx: Tx, vault: Vault, project: Project, webhook_secret: str | None) -> Project:
    """Change what is given; None leaves the secret as it is."""
    sealed = _sealed(vault, webhook_secret)
    if sealed is not None:
        projects.set_webhook_secret(tx, project.id, sealed)
    return projects.with_id(tx, project.id)


def _sealed(vault: Vault, secret: str | None) -> str | None:
    return None if secret is None else vault.seal(secret, WEBHOOK_PURPOSE)
