"""Credentials on their way out: opened only here, and only for the server they are meant for."""

from __future__ import annotations

from app.checkout import Credential
from app.commands.github_apps import key_of
from app.domain.errors import InvalidValue
from app.domain.hosts import git_host, may_be_sent, registry_host
from app.domain.job.records import Job
from app.domain.job.spec import ImageSource
from app.domain.sealing import of_credential
from app.engines.base import RegistryLogin
from app.runtime.ports import Vault
from app.store import credentials, github_apps
from app.store.database import Tx


def git_access(tx: Tx, vault: Vault, credential_id: int | None, url: str) -> Credential | None:
    """What fetches from `url`. Raises InvalidValue for a credential of another host, or of none."""
    if credential_id is None:
        return None
    found = credentials.with_id(tx, credential_id)
    _require_host(found, git_host(url))
    app = github_apps.find(tx, found.id) if found.kind == github_apps.KIND else None
    if app is not None:
        return Credential("", None, (), found.id, key_of(vault, app))
    return Credential(_opened(found, vault), found.username or None, found.host_keys, found.id)


def registry_access(
    tx: Tx, vault: Vault, project_id: int, reference: str, name: str | None = None
) -> RegistryLogin | None:
    """What pulls or pushes `reference`: the credential of that name, else the project's for that registry, if any.

    Raises InvalidValue for a named credential of another host.
    """
    host = registry_host(reference)
    if name is not None:
        found = credentials.named(tx, project_id, name)
        _require_host(found, host)
        return _login(found, vault)
    known = credentials.of_kind(tx, project_id, "registry")
    fitting = next((each for each in known if each.host and may_be_sent(each.host, host)), None)
    return None if fitting is None else _login(fitting, vault)


def registry_access_of_job(tx: Tx, vault: Vault, job: Job, reference: str) -> RegistryLogin | None:
    """What pulls an image for a job: the credential that its source names, if for this registry, else the project's."""
    source, named = job.spec.source, None
    if isinstance(source, ImageSource) and registry_host(source.image) == registry_host(reference):
        named = source.credential
    return registry_access(tx, vault, job.project_id, reference, named)


def registry_logins(tx: Tx, vault: Vault, project_id: int) -> dict[str, RegistryLogin]:
    """All that the project may log in to, by host: its oldest credential for each."""
    known = reversed(credentials.of_kind(tx, project_id, "registry"))
    return {each.host.lower(): _login(each, vault) for each in known if each.host}


def without_host(name: str) -> str:
    """What is wrong with a credential from the time when it could be for any server."""
    return f"Credential {name} has no host, so it is sent nowhere: set the host that it is for, such as github.com."


def _login(found: credentials.Credential, vault: Vault) -> RegistryLogin:
    return RegistryLogin(found.username, _opened(found, vault))


def _opened(found: credentials.Credential, vault: Vault) -> str:
    return vault.open(found.secret, of_credential(found.project_id, found.id))


def _require_host(found: credentials.Credential, host: str) -> None:
    if not found.host:
        raise InvalidValue("credential", without_host(found.name))
    if not may_be_sent(found.host, host):
        raise InvalidValue(
            "credential",
            f"Credential {found.name} is for {found.host} and is not sent to {host or 'a local path'}:"
            " name another one in the source.",
        )
