"""Credentials for Git servers and image registries, as people keep, change and forget them; secrets are sealed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from app.checkout import Credential as Access
from app.domain.errors import Conflict, InvalidValue
from app.domain.host_keys import HostKey, published_for
from app.domain.job.records import Job
from app.domain.job.spec import GitSource, ImageSource
from app.domain.sealing import of_credential
from app.runtime.ports import Vault
from app.secrets.key_pairs import is_private_key, new_key, public_key_of, with_lines
from app.store import commit_statuses, credentials, github_apps, jobs, repository_hooks
from app.store.credentials import Credential
from app.store.database import Database, Tx
from app.store.identity import reserved_id
from app.store.projects import Project

CredentialKind = Literal["git", "registry"]
HostKeyOrigin = Literal["nobody", "first_use", "person", "forge"]
TRIED_AGAIN = timedelta(days=1)  # statuses that a credential was refused for, when there is another


@dataclass(frozen=True)
class CredentialDraft:
    """A user and password, token or private key, in plain text, for the server at `host` alone.

    Without a `secret`, a private key for ssh is made here, which nobody ever sees.
    """

    name: str
    kind: CredentialKind
    host: str
    username: str
    secret: str | None = field(repr=False)
    api_url: str = ""
    host_keys: Sequence[HostKey] = ()
    forge: str = ""


@dataclass(frozen=True)
class CredentialChange:
    """What is to be another; None leaves it. Name and kind have to be as they are."""

    name: str | None = None
    kind: CredentialKind | None = None
    host: str | None = None
    username: str | None = None
    secret: str | None = field(default=None, repr=False)
    host_keys: Sequence[HostKey] | None = None
    ssh_key: bool = False  # make a key unless it has one
    api_url: str | None = None
    forge: str | None = None


def define_credential(
    tx: Tx, vault: Vault, project: Project, draft: CredentialDraft, now: datetime
) -> Credential:
    """Keep a new credential. Raises Conflict if the name is taken.

    Raises InvalidValue for a key that ssh can't use, and for an API or host keys, which no registry has.
    """
    _require_git(draft.kind, draft.api_url, draft.forge)
    credential_id = reserved_id(tx, "credential")
    secret, public_key = _usable(draft.kind, new_key() if draft.secret is None else draft.secret)
    made = credentials.create(
        tx,
        project.id,
        credential_id=credential_id,
        name=draft.name,
        kind=draft.kind,
        host=draft.host,
        username=draft.username,
        secret=vault.seal(secret, of_credential(project.id, credential_id)),
        public_key=public_key,
        api_url=draft.api_url,
        forge=draft.forge,
        now=now,
    )
    if draft.host_keys:
        made = _pinned(tx, made, draft.host_keys)
    commit_statuses.try_again(tx, project.id, now, now - TRIED_AGAIN)
    repository_hooks.ask_again(tx, project.id)
    return made


def _pinned(tx: Tx, credential: Credential, keys: Sequence[HostKey]) -> Credential:
    if credential.kind != "git":
        raise InvalidValue("host_keys", "host_keys can be set for a credential of kind git alone.")
    return credentials.set_host_keys(tx, credential, keys)


def change_credential(
    tx: Tx, vault: Vault, credential: Credential, change: CredentialChange, now: datetime
) -> Credential:
    """Take another user or secret for the credential. Raises InvalidValue for another name, kind or host.

    Those stay, as they were checked against whatever names it; without a host it was sent to nobody so far.
    """
    for name in ("name", "kind", "host"):
        given, stored = getattr(change, name), getattr(credential, name)
        if stored and given not in (None, stored):
            raise InvalidValue(name, f"{name} can't be changed: it stays {stored}.")
    _require_git(credential.kind, change.api_url or "", change.forge or "")
    if change.api_url not in (None, credential.api_url) and change.secret is None:
        raise InvalidValue("secret", "secret is needed once more with another api_url, as it is sent there.")
    if credential.kind == github_apps.KIND:
        raise Conflict(f"Credential {credential.name} is a GitHub App: change it as one, at github-apps.")
    place = of_credential(credential.project_id, credential.id)
    secret, public_key = credential.secret, credential.public_key
    if change.secret is not None or (change.ssh_key and public_key is None):
        plain, public_key = _usable(credential.kind, change.secret or new_key())
        secret = vault.seal(plain, place)
    if change.host_keys is not None:
        _pinned(tx, credential, change.host_keys)
    changed = credentials.change(
        tx,
        credential,
        host=credential.host or change.host or "",
        username=credential.username if change.username is None else change.username,
        secret=secret,
        public_key=public_key,
        api_url=change.api_url,
        forge=change.forge,
    )
    commit_statuses.try_again(tx, credential.project_id, now, now - TRIED_AGAIN)
    repository_hooks.ask_again(tx, credential.project_id)
    return changed


def pinned_host_keys(credential: Credential) -> tuple[HostKey, ...]:
    """What its ssh server has to have: pinned keys, else those that its forge publishes; empty while nothing is known.

    Those of a forge are for its usual port.
    """
    return credential.host_keys or (published_for(credential.host) if credential.kind == "git" else ())


def host_keys_from(credential: Credential) -> HostKeyOrigin:
    """Who says that its host keys are right."""
    if credential.host_keys:
        return "person" if credential.host_keys_confirmed else "first_use"
    return "forge" if pinned_host_keys(credential) else "nobody"


def shown_host_keys(credential: Credential, ask: Callable[[str], Sequence[HostKey]]) -> Sequence[HostKey]:
    """What its ssh server shows now. Raises Conflict for a credential of a registry, and as `ask` does."""
    if credential.kind != "git" or not credential.host:
        raise Conflict(
            f"Credential {credential.name} is for no Git server, so there are no host keys to ask for."
        )
    return ask(credential.host)


def pin_shown(db: Database) -> Callable[[Access, Sequence[HostKey]], None]:
    """What pins the host keys that a server showed at the first connection with a credential."""

    def pin(used: Access, keys: Sequence[HostKey]) -> None:
        if used.id is not None:
            with db.write() as tx:
                credentials.pin_host_keys(tx, used.id, keys)

    return pin


def _usable(kind: str, secret: str) -> tuple[str, str | None]:
    """The secret as it is stored, and the public part of one that is a private key.

    Raises InvalidValue for what means to be a private key and is none that ssh can use.
    """
    if kind != "git" or not is_private_key(secret):
        return secret, None
    whole = with_lines(secret)
    try:
        return whole, public_key_of(whole)
    except ValueError as error:
        raise InvalidValue("secret", f"secret {error}.") from None


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


def _require_git(kind: str, api_url: str, forge: str) -> None:
    for name, value in (("api_url", api_url), ("forge", forge)):
        if value and kind != "git":
            raise InvalidValue(name, f"{name} is of the forge that a git credential is for: leave it out.")


def _names(job: Job, credential: str) -> bool:
    source = job.spec.source
    return isinstance(source, GitSource | ImageSource) and source.credential == credential
