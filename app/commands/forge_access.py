"""By which credential a project speaks with a forge's API: one for the repository's host, sent nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.commands.github_apps import key_of
from app.domain.errors import UserError
from app.domain.events import repo_key
from app.domain.forge_links import kind_of
from app.domain.github_apps import AppKey
from app.domain.hosts import git_host, may_be_sent
from app.domain.sealing import of_credential
from app.forges.api import Access, ForgeApi
from app.runtime.ports import Vault
from app.store import credentials, github_apps
from app.store.credentials import Credential
from app.store.database import Tx


class NoAccess(UserError):
    """The project has nothing that opens the forge's API; the sentence says what is missing."""


@dataclass(frozen=True)
class ForgeAccess:
    """`kind` is the forge's name among the APIs, `repository` the path of the repository's address there."""

    kind: str
    access: Access
    repository: str
    credential: str
    app: AppKey | None = None  # whose token is not made yet


def forge_access(
    tx: Tx, vault: Vault, apis: Mapping[str, ForgeApi], project_id: int, url: str, forge: str = ""
) -> ForgeAccess:
    """What a project speaks with the forge of a repository by. `forge` is the kind, where that is known.

    Raises NoAccess, or what the vault raises.
    """
    host, _, repository = repo_key(url).partition("/")
    found = _credential(tx, project_id, url)
    if found is None:
        raise NoAccess(
            f"The project has no git credential for {git_host(url)}: add one with a token of the forge."
        )
    app = github_apps.find(tx, found.id) if found.kind == github_apps.KIND else None
    if app is not None:
        key = key_of(vault, app)
        opened = Access(key.api_url, "")
        return ForgeAccess(github_apps.KIND, opened, _path(url, repository), found.name, key)
    kind = found.forge or forge or kind_of(host, found.api_url)
    if kind not in apis:
        raise NoAccess(
            f"What kind of forge {host} is, is not known yet: set the forge of credential {found.name} to github,"
            " gitlab, gitea or bitbucket."
        )
    if found.public_key is not None:
        raise NoAccess(
            f"Credential {found.name} is a key for ssh, which opens no API: add a git credential with a token of"
            f" {host}."
        )
    secret = vault.open(found.secret, of_credential(project_id, found.id))
    address = found.api_url or apis[kind].default_url(host)
    return ForgeAccess(kind, Access(address, secret, found.username), _path(url, repository), found.name)


def _credential(tx: Tx, project_id: int, url: str) -> Credential | None:
    """The GitHub App of a source; else one with a token before a key: that which says where its API is, that of a
    source, or the oldest.
    """
    host, kinds = git_host(url), ("git", github_apps.KIND)
    known = [each for kind in kinds for each in credentials.of_kind(tx, project_id, kind)]
    fitting = [each for each in known if may_be_sent(each.host, host)]
    of_sources = credentials.of_repository(tx, project_id, repo_key(url))
    return next(
        iter(
            sorted(
                fitting,
                key=lambda each: (
                    not (each.kind == github_apps.KIND and each.id in of_sources),
                    each.public_key is not None,
                    not (each.api_url or each.forge),
                    each.id not in of_sources,
                    each.id,
                ),
            )
        ),
        None,
    )


def _path(url: str, path: str) -> str:
    """The path as it is written, where the key has it in lower case."""
    written = urlsplit(url).path if "://" in url else url.partition(":")[2]
    written = written.strip("/").removesuffix(".git")
    return written if written.lower() == path.lower() else path
