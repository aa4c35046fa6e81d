"""GitHub Apps of projects: kept, changed, made by a manifest, and looked at as GitHub has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.commands.app_tokens import AppTokens, read
from app.domain.documents import Json
from app.domain.errors import Conflict, InvalidValue, JobyardError
from app.domain.events import repo_key
from app.domain.github_apps import AppKey, Call, Converted, Installed, Registered, Repository
from app.domain.guessing import SHORTEST_WEBHOOK_SECRET, require_unguessable
from app.domain.sealing import of_app_hook, of_credential, of_manifest
from app.forges import github_app as asking
from app.forges.github_api import GitHubApi
from app.runtime.ports import Vault
from app.secrets.key_pairs import is_private_key, public_key_of, with_lines
from app.store import credentials, github_apps, jobs
from app.store.database import Database, Tx
from app.store.github_apps import GithubApp
from app.store.identity import reserved_id
from app.store.projects import Project

MANIFEST_LASTS = timedelta(hours=1)
MANY = 200
PAGES = 10  # of a hundred repositories, of each installation


@dataclass(frozen=True)
class AppDraft:
    """An App as it is at GitHub; `private_key` and `webhook_secret` are in plain text."""

    name: str
    host: str
    app_id: int
    private_key: str = field(repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    api_url: str = ""
    slug: str = ""


@dataclass(frozen=True)
class AppChange:
    """What is to be another; None leaves it."""

    private_key: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Seen:
    """What GitHub says of an App now. `problem` is why it says less; `unreached` are jobs whose repository the App
    does not reach, by name, with the sentence.
    """

    registered: Registered | None = None
    installations: Sequence[Installed] = ()
    repositories: Sequence[Repository] = ()
    unreached: Sequence[tuple[str, str]] = ()
    problem: str = ""
    last_call: Call | None = None


@dataclass(frozen=True)
class Begun:
    """What somebody began to have made at GitHub, which comes back to us sealed."""

    name: str
    host: str
    api_url: str


def define_app(tx: Tx, vault: Vault, project: Project, draft: AppDraft, now: datetime) -> GithubApp:
    """Keep an App. Raises Conflict if the name is taken, InvalidValue for a key that is none."""
    credential_id, app_id = reserved_id(tx, "credential"), reserved_id(tx, "github_app")
    kept = credentials.create(
        tx,
        project.id,
        credential_id=credential_id,
        name=draft.name,
        kind=github_apps.KIND,
        host=draft.host,
        username="",
        secret=vault.seal(_usable(draft.private_key), of_credential(project.id, credential_id)),
        api_url=draft.api_url,
        now=now,
    )
    place = of_app_hook(project.id, app_id)
    return github_apps.create(
        tx,
        kept,
        id_=app_id,
        app_id=draft.app_id,
        slug=draft.slug,
        webhook_secret=None
        if draft.webhook_secret is None
        else vault.seal(_unguessable(draft.webhook_secret), place),
    )


def change_app(tx: Tx, vault: Vault, app: GithubApp, change: AppChange) -> GithubApp:
    """Take another private key or webhook secret."""
    if change.private_key is not None:
        credentials.change(
            tx,
            app.credential,
            host=app.credential.host,
            username="",
            secret=vault.seal(_usable(change.private_key), of_credential(app.project_id, app.credential.id)),
            public_key=None,
            api_url=app.api_url,
        )
    secret = app.webhook_secret
    if change.webhook_secret is not None:
        secret = vault.seal(_unguessable(change.webhook_secret), of_app_hook(app.project_id, app.id))
    return github_apps.change(tx, app, webhook_secret=secret, slug=app.slug)


def require_same(app: GithubApp, given: Json) -> None:
    """Raises InvalidValue for another host, App id or address of the API: what names the App was checked by those."""
    stored = {"host": app.credential.host, "app_id": app.app_id, "api_url": app.api_url}
    for name, value in stored.items():
        if given.get(name, value) != value:
            raise InvalidValue(name, f"{name} can't be changed: it stays {value or 'empty'}.")


def key_of(vault: Vault, app: GithubApp) -> AppKey:
    """What proves to be the App, opened."""
    credential = app.credential
    return AppKey(
        credential_id=credential.id,
        name=credential.name,
        app_id=app.app_id,
        api_url=app.api_url or GitHubApi().default_url(credential.host),
        private_key=vault.open(credential.secret, of_credential(credential.project_id, credential.id)),
    )


def seen_app(db: Database, vault: Vault, tokens: AppTokens, app: GithubApp) -> Seen:
    """Ask GitHub what the App may, where it is installed, and which repositories it reaches. Raises nothing for what
    GitHub says, or does not say: that is the `problem`.
    """
    try:
        key = key_of(vault, app)
        registered = read(tokens, asking.registered(key, tokens.now()), asking.read_registered, key)
        installed = read(tokens, asking.installations(key, tokens.now()), asking.read_installations, key)
        last_call = read(tokens, asking.last_calls(key, tokens.now()), asking.read_last_call, key)
        found = [each for one in installed if not one.is_suspended for each in _reached(tokens, key, one)]
    except JobyardError as error:
        return Seen(problem=str(error))
    keys = {repo_key(each.url) for each in found}
    with db.read() as tx:
        wanted = _repositories_of(tx, app)
    unreached = []
    for job, url in wanted:
        if repo_key(url) in keys:
            continue
        try:
            tokens(key, url)
        except JobyardError as error:
            unreached.append((job, str(error)))
    return Seen(registered, installed, found, unreached, last_call=last_call)


def advice_on(app: GithubApp, seen: Seen) -> list[str]:
    """What is to be done about an App, as sentences; none where all is well."""
    if seen.problem:
        return [seen.problem]
    name = f"GitHub App {app.name}"
    said = [f"Job {job}: {sentence}" for job, sentence in seen.unreached]
    if seen.registered is not None and seen.registered.lacks:
        lacks = ", ".join(seen.registered.lacks)
        said.append(f"{name} lacks {lacks}: give it these at GitHub, and accept them where it is installed.")
    if not seen.installations:
        said.append(f"{name} is installed nowhere yet: install it at GitHub.")
    if app.webhook_secret is None:
        said.append(f"{name} has no webhook secret here, so calls of its webhook are refused: set it.")
    elif seen.last_call is None:
        said.append(
            f"GitHub has not called the webhook of {name} yet: push, or look whether it is active there."
        )
    elif not seen.last_call.is_taken:
        answer = f"answered with status {seen.last_call.status}" if seen.last_call.status else "not answered"
        said.append(
            f"GitHub's last call of the webhook of {name} ({seen.last_call.event}) was {answer}: look at its address"
            " and its secret."
        )
    return said


def reached_repositories(vault: Vault, tokens: AppTokens, app: GithubApp) -> list[Repository]:
    """All repositories that an App reaches. Raises AppRefused or GitUnavailable."""
    key = key_of(vault, app)
    installed = read(tokens, asking.installations(key, tokens.now()), asking.read_installations, key)
    return [each for one in installed if not one.is_suspended for each in _reached(tokens, key, one)]


def begin_manifest(vault: Vault, project: Project, begun: Begun, now: datetime) -> str:
    """A text by which what comes back from GitHub is known as what was begun here, by nobody else, for an hour."""
    content = {"name": begun.name, "host": begun.host, "api_url": begun.api_url, "at": now.timestamp()}
    return vault.seal(json.dumps(content), of_manifest(project.id))


def begun_with(vault: Vault, project: Project, state: str, now: datetime) -> Begun:
    """Raises Conflict for what was not begun here, or too long ago."""
    refused = Conflict(
        "This did not begin on a page of this project, or more than an hour ago: make the App again."
    )
    try:
        content = json.loads(vault.open(state, of_manifest(project.id)))
    except JobyardError:
        raise refused from None
    if not 0 <= now.timestamp() - content["at"] <= MANIFEST_LASTS.total_seconds():
        raise refused
    return Begun(content["name"], content["host"], content["api_url"])


def converted(tokens: AppTokens, begun: Begun, code: str) -> Converted:
    """Have GitHub make the App; it gives what belongs to it just once. Raises AppRefused or GitUnavailable."""
    url = begun.api_url or GitHubApi().default_url(begun.host)
    return asking.read_conversion(tokens.ask(asking.conversion(url, code), begun.name))


def _reached(tokens: AppTokens, key: AppKey, installed: Installed) -> list[Repository]:
    token = tokens.of_installation(key, installed)
    found: list[Repository] = []
    for page in range(1, PAGES + 1):
        some = read(tokens, asking.repositories(key.api_url, token, page), asking.read_repositories, key)
        found += some
        if len(some) < asking.PAGE:
            break
    return found


def _repositories_of(tx: Tx, app: GithubApp) -> list[tuple[str, str]]:
    """Jobs that name the App, and where their repository is."""
    page = jobs.page(tx, project_id=app.project_id, limit=MANY)
    return [
        (job.name, job.source.url)
        for job in page
        if job.source is not None and job.source.credential_id == app.credential.id
    ]


def _usable(private_key: str) -> str:
    whole = with_lines(private_key)
    try:
        if not is_private_key(whole) or not public_key_of(whole).startswith("ssh-rsa "):
            raise ValueError(
                "must be the RSA private key that GitHub made for the App, from -----BEGIN to -----END"
            )
    except ValueError as error:
        raise InvalidValue("private_key", f"private_key {error}.") from None
    return whole


def _unguessable(secret: str) -> str:
    try:
        require_unguessable(secret, SHORTEST_WEBHOOK_SECRET)
    except ValueError as error:
        raise InvalidValue("webhook_secret", f"webhook_secret {error}.") from None
    return secret
