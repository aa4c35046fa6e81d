"""Projects, as people define and change them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.domain.commit_statuses import Statuses
from app.domain.generic_webhooks import GenericWebhook
from app.domain.sealing import of_project_hook
from app.runtime.ports import Vault
from app.store import projects, quotas, refused_calls, repository_hooks
from app.store.database import Tx
from app.store.identity import reserved_id
from app.store.projects import Project


def define_project(
    tx: Tx,
    vault: Vault,
    name: str,
    webhook_secret: str | None,
    now: datetime,
    limits: Mapping[str, float | None] | None = None,
    public: bool = False,
    statuses: Statuses = Statuses.ONE,
) -> Project:
    """Create a project. Raises Conflict if the name is taken."""
    project_id = reserved_id(tx, "project")
    made = projects.create(tx, name, _sealed(vault, project_id, webhook_secret), now, project_id)
    return change_project(tx, vault, made, limits=limits, public=public, statuses=statuses)


def change_project(
    tx: Tx,
    vault: Vault,
    project: Project,
    webhook_secret: str | None = None,
    limits: Mapping[str, float | None] | None = None,
    hardening: Mapping[str, Any] | None = None,
    public: bool | None = None,
    statuses: Statuses | None = None,
) -> Project:
    """Change what is given; fields of `hardening` that are left out stay.

    None leaves the secret, whether it is public and its commit statuses as they are; of a limit, None takes the
    server's again.
    """
    sealed = _sealed(vault, project.id, webhook_secret)
    if sealed is not None:
        projects.set_webhook_secret(tx, project.id, sealed)
        repository_hooks.outdate(tx, project.id)
        refused_calls.forget(tx, project.id)
    if hardening:
        projects.set_hardening(tx, project.id, replace(project.hardening, **hardening))
    if public is not None:
        projects.set_public(tx, project.id, public)
    if statuses is not None:
        projects.set_commit_statuses(tx, project.id, statuses)
    if limits:
        quotas.set_own(tx, project.id, limits)
    return projects.with_id(tx, project.id)


def set_generic_webhook(tx: Tx, project: Project, webhook: GenericWebhook | None) -> Project:
    """Have a webhook for whatever sends JSON, or None; its address stays as long as there is one."""
    if webhook is not None:
        known = project.generic_webhook
        webhook = replace(webhook, id=known.id if known else secrets.token_urlsafe(18))
    projects.set_generic_webhook(tx, project.id, webhook)
    return projects.with_id(tx, project.id)


def _sealed(vault: Vault, project_id: int, secret: str | None) -> str | None:
    return None if secret is None else vault.seal(secret, of_project_hook(project_id))
