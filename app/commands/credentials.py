"""Credentials for Git servers and image registries, as people keep, change and forget them; secrets are sealed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from app.domain.errors import Conflict, InvalidValue
from app.domain.job.records import Job
from app.domain.job.spec import GitSource, ImageSource
from app.domain.sealing import of_credential
from app.runtime.ports import Vault
from app.store import credentials, jobs
from app.store.credentials import Credential
from app.store.database import Tx
from app.store.identity import reserved_id
from app.store.projects import Project

CredentialKind = Literal["git", "registry"]


@dataclass(frozen=True)
class CredentialDraft:
    """A user and password or token, in plain text, for the server at `host` alone."""

    name: str
    kind: CredentialKind
    host: str
    username: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class CredentialChange:
    """What is to be another; None leaves it. Name and kind have to be as they are."""

    name: str | None = None
    kind: CredentialKind | None = None
    host: str | None = None
    username: str | None = None
    secret: str | None = field(default=None, repr=False)


def define_credential(
    tx: Tx, vault: Vault, project: Project, draft: CredentialDraft, now: datetime
) -> Credential:
    """Keep a new credential. Raises Conflict if the name is taken."""
    credential_id = reserved_id(tx, "credential")
    return credentials.create(
        tx,
        project.id,
        credential_id=credential_id,
        name=draft.name,
        kind=draft.kind,
        host=draft.host,
        username=draft.username,
        secret=vault.seal(draft.secret, of_credential(project.id, credential_id)),
        now=now,
    )


def change_credential(tx: Tx, vault: Vault, credential: Credential, change: CredentialChange) -> Credential:
    """Take another user or secret for the credential. Raises InvalidValue for another name, kind or host.

    Those stay, as they were checked against whatever names it; without a host it was sent to nobody so far.
    """
    for name in ("name", "kind", "host"):
        given, stored = getattr(change, name), getattr(credential, name)
        if stored and given not in (None, stored):
            raise InvalidValue(name, f"{name} can't be changed: it stays {stored}.")
    place = of_credential(credential.project_id, credential.id)
    secret = change.secret
    return credentials.change(
        tx,
        credential,
        host=credential.host or change.host or "",
        username=credential.username if change.username is None else change.username,
        secret=credential.secret if secret is None else vault.seal(secret, place),
    )


def remove_credential(tx: Tx, credential: Credential) -> None:
    """Forget a credential. Raises Conflict while something names it.

    Jobs of an image name theirs in their specification; those of a repository are looked for by the store.
    """
    before: int | None = None
    while page := jobs.page(tx, project_id=credential.project_id, before=before):
        user = next((job.name for job in page if _names(job, credential.name)), None)
        if user is not None:
            raise Conflict(f"Credential {credential.name} is in use by job {user}: name another there first.")
        before = page[-1].id
    credentials.delete(tx, credential)


def _names(job: Job, credential: str) -> bool:
    source = job.spec.source
    return isinstance(source, GitSource | ImageSource) and source.credential == credential
