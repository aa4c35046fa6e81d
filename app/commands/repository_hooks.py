"""Webhooks at the forges of a project's repositories: made, changed and looked at by the forge's own API.

A person asks for it and waits: a forge has some seconds for each answer, and nobody else waits for that. What is known
by then is looked after by a loop: it tells the forges of secrets that changed, and looks each day.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from urllib.parse import urlsplit

from app.commands.forge_access import ForgeAccess, forge_access
from app.domain.errors import Busy, Conflict, JobyardError, TransientError
from app.domain.http import HttpAnswer, HttpRequest, NoAnswer, NotAllowed, NotAnAddress
from app.domain.posting import next_try
from app.domain.sealing import of_project_hook, of_source_hook
from app.forges.api import Hook, HookApi, Later, Moved, Refused, RepositoryApi
from app.runtime.ports import Clock, Vault
from app.store import projects, repository_hooks
from app.store.database import Database
from app.store.projects import Project
from app.store.repository_hooks import RepositoryHook

AT_ONCE = 2
LOOKED_AT_EVERY = timedelta(days=1)
ABSENT = "There is no webhook of this server at the forge: register it."
OFF = "The webhook is switched off at the forge: register it again."
BY_APP = "The GitHub App of its credential tells of pushes: no webhook of the repository is needed."
NO_PUSHES = "The webhook sends no pushes: register it again."
MOVED = "The forge has the repository at another address by now: change it in the job."
NO_SECRET = "It has no webhook secret, which signs what is sent: set one for the project."  # noqa: S105 - a sentence
SEVERAL_SECRETS = (
    "What is built from it has several webhook secrets, of which one webhook takes only one: set one for the project,"
    " which is good for all of them."
)
NOT_TOLD = "The webhook secret has changed, and the forge could not be told: {} Set the secret there too."


class Wish(Enum):
    """What a forge is asked for."""

    LOOK = auto()
    TELL = auto()  # a webhook that is there leads here, with the secret of now
    MAKE = auto()  # the same, and one is made where there is none


class _NotOneSecret(Conflict):
    """There is nothing yet that a forge could be told."""


class _AskLater(TransientError):
    def __init__(self, sentence: str, at: datetime | None) -> None:
        super().__init__(sentence)
        self.at = at


@dataclass(frozen=True)
class RepositoryHooks:
    """`send` reaches forges; `forges` are the kinds whose webhooks are taken."""

    db: Database
    clock: Clock
    vault: Vault
    apis: Mapping[str, RepositoryApi]
    send: Callable[[HttpRequest], HttpAnswer]
    _places: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(AT_ONCE))

    def look(self, project: Project, public_url: str) -> None:
        """Ask each forge for the webhooks of the project's repositories, and keep what is found."""
        self._each(project, public_url, Wish.LOOK)

    def register(self, project: Project, public_url: str) -> None:
        """Make the webhook of each repository, or make the one that is there lead here with the secret of now."""
        self._each(project, public_url, Wish.MAKE)

    def look_after(self, project_id: int, hook: RepositoryHook, public_url: str) -> None:
        """Tell the forge of a secret that has changed, or look whether the webhook is as it should be."""
        with self.db.read() as tx:
            project = projects.with_id(tx, project_id)
            url = dict(repository_hooks.repositories(tx, project_id)).get(hook.repo_key)
        if url is None:
            with self.db.write() as tx:
                repository_hooks.forget(tx, project_id, hook.repo_key)
            return
        self._save(project, url, hook, public_url, Wish.TELL if hook.is_outdated else Wish.LOOK)

    def _each(self, project: Project, public_url: str, wish: Wish) -> None:
        if not self._places.acquire(blocking=False):
            raise Busy("Others are asking forges for their webhooks: try again in a moment.")
        try:
            with self.db.read() as tx:
                repositories = repository_hooks.repositories(tx, project.id)
                known = repository_hooks.of_project(tx, project.id)
            for key, url in repositories:
                before = known.get(key) or RepositoryHook(key, "", "", "", "", self.clock.now())
                self._save(project, url, before, public_url, wish)
        finally:
            self._places.release()

    def _save(self, project: Project, url: str, before: RepositoryHook, public_url: str, wish: Wish) -> None:
        found, due_at = self._one(project, url, before, public_url, wish)
        with self.db.write() as tx:
            repository_hooks.save(tx, project.id, before, found, due_at)

    def _one(
        self, project: Project, url: str, before: RepositoryHook, public_url: str, wish: Wish
    ) -> tuple[RepositoryHook, datetime]:
        """What is known of a repository's webhook now, and when to ask next.

        A forge that says nothing useful changes only what is wrong with it.
        """
        now = self.clock.now()
        not_before = None
        try:
            found = self._found(project, url, before, public_url, wish)
            is_to_tell = found.is_outdated and bool(found.hook_id)
            return found, now if is_to_tell else now + LOOKED_AT_EVERY
        except (NoAnswer, NotAllowed, NotAnAddress) as error:
            sentence, is_soon = f"The forge {error}.", isinstance(error, NoAnswer)
        except _NotOneSecret as error:
            return replace(before, problem=str(error), checked_at=now), now + LOOKED_AT_EVERY
        except JobyardError as error:
            sentence, is_soon = str(error), isinstance(error, TransientError)
            not_before = error.at if isinstance(error, _AskLater) else None
        tries = before.tries + 1 if is_soon and before.is_outdated else 0
        due_at = next_try(tries, now, not_before) if tries else now + LOOKED_AT_EVERY
        problem = NOT_TOLD.format(sentence) if before.is_outdated else sentence
        return replace(before, problem=problem, checked_at=now, tries=tries), due_at

    def _found(
        self, project: Project, url: str, before: RepositoryHook, public_url: str, wish: Wish
    ) -> RepositoryHook:
        known = replace(before, hook_id="", address="", problem="", said="", checked_at=self.clock.now())
        with self.db.read() as tx:
            found = forge_access(tx, self.vault, self.apis, project.id, url)
        if found.app is not None:
            return replace(known, said=BY_APP)
        address = f"{public_url}/webhooks/{found.kind}"
        hook = _ours(self._list(found), before.hook_id, address)
        if wish is Wish.MAKE or (wish is Wish.TELL and hook is not None):
            secret, hook_id = self._secret(project, before.repo_key), hook.id if hook else None
            request = self.apis[found.kind].save_hook(
                found.access, found.repository, hook_id, address, secret
            )
            self._ask(found, request)
            hook = _ours(self._list(found), hook_id or "", address)
            known = replace(known, told_version=before.secret_version, tries=0)
        if hook is None:
            return replace(known, problem=ABSENT)
        stale = before.problem if known.is_outdated else ""
        problem = _problem(hook, address) or stale
        return replace(known, hook_id=hook.id, address=hook.address, problem=problem, said=hook.said)

    def _secret(self, project: Project, repo_key: str) -> str:
        """The project's secret, which is good for all its repositories; else the one of what is built from this.

        Raises _NotOneSecret where there is none, or not just one.
        """
        if project.webhook_secret is not None:
            return self.vault.open(project.webhook_secret, of_project_hook(project.id))
        with self.db.read() as tx:
            sealed = repository_hooks.own_secrets(tx, project.id, repo_key)
        opened = {self.vault.open(text, of_source_hook(project.id, source)) for source, text in sealed}
        if len(opened) > 1:
            raise _NotOneSecret(SEVERAL_SECRETS)
        for secret in opened:
            return secret
        raise _NotOneSecret(NO_SECRET)

    def _list(self, found: ForgeAccess) -> Sequence[Hook]:
        api = self.apis[found.kind]
        return api.hooks_in(self._ask(found, api.hooks(found.access, found.repository)))

    def _ask(self, found: ForgeAccess, request: HttpRequest) -> HttpAnswer:
        """Raises Conflict unless the forge did it, or TransientError if it may later."""
        api: HookApi = self.apis[found.kind]
        answer = self.send(request)
        match api.hook_outcome(answer, self.clock.now()):
            case Later(sentence=sentence, at=at):
                raise _AskLater(f"{sentence} It is credential {found.credential}.", at)
            case Refused(sentence=sentence):
                raise Conflict(f"{sentence} It is credential {found.credential}.")
            case Moved():
                raise Conflict(MOVED)
            case _:
                return answer


def _ours(hooks: Sequence[Hook], hook_id: str, address: str) -> Hook | None:
    """The webhook that leads here, else the one that was made by us when this server was called otherwise."""
    leads_here = next((each for each in hooks if _plain(each.address) == _plain(address)), None)
    return leads_here or next((each for each in hooks if hook_id and each.id == hook_id), None)


def _problem(hook: Hook, address: str) -> str:
    if _plain(hook.address) != _plain(address):
        return f"The webhook leads to {urlsplit(hook.address).netloc}, as this server was called: register it again."
    if not hook.is_active:
        return OFF
    return "" if hook.takes_pushes else NO_PUSHES


def _plain(address: str) -> str:
    return address.rstrip("/").lower()
